head -c 2000 /dev/zero > x_val_000000.bin
golf-data check x_val_000000.bin
