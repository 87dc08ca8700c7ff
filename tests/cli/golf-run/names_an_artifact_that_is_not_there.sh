golf-run nothing.ptz b.bin
