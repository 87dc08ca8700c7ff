golf-run net.ptz shard.bin --check all --audit log.jsonl
