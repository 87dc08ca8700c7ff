mkdir set
touch set/file
echo text > a.txt
golf-data prepare --output set a.txt
