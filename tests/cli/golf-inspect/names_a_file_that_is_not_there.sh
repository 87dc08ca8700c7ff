golf-inspect nothing.ptz
