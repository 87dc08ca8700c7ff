golf-pack --help
