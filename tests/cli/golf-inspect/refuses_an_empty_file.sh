touch a.ptz
golf-inspect a.ptz
