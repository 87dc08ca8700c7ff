golf-run absent.ptz absent.bin --over-time 1
