printf '\x02\0\0\0\0\0\0\0{}' > a.file
golf-pack a.file -o a.ptz
