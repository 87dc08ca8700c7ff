golf-inspect a.ptz --nonsense
