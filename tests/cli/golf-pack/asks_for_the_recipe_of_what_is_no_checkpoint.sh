head -c 4096 /dev/zero > a.file
golf-pack a.file -o a.ptz
