golf-pack some.ckpt -o new --calibrate self --save-hessians ./new
