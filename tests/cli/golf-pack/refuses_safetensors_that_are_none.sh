head -c 4096 /dev/zero > a.safetensors
golf-pack a.safetensors --recipe nano -o a.ptz
