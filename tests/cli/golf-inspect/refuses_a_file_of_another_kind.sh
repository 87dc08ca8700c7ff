head -c 4096 /dev/zero > a.ptz
golf-inspect a.ptz
