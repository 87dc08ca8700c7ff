touch a.ckpt
golf-pack a.ckpt --preset pr1 -o a.ptz
