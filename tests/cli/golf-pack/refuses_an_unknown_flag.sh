golf-pack a.ckpt --nonsense
