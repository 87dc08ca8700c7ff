golf-run net.ptz shard.bin --check everything
