golf-run a.ptz b.bin --plain --stride 8
