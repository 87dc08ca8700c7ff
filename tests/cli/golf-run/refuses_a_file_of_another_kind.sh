head -c 4096 /dev/zero > a.ptz
golf-run a.ptz b.bin
