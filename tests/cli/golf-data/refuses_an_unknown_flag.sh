echo text > a.txt
golf-data prepare --nonsense --output set a.txt
