# Not "shards is required": what follows a pattern or a file of code is a shard.
golf-run no.ptz --ttt-bf16 'tok_emb.*' --ttt-trainable '*' --code no.py a.bin b.bin
