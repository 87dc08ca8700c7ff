golf-run --help >/dev/full
