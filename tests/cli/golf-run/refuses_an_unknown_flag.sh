golf-run a.ptz b.bin --nonsense
