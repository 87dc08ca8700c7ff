golf-pack nothing.ckpt -o a.ptz
