head -c 4096 /dev/zero > a.ptz
golf-pack --check a.ptz --max-bytes 16000000
