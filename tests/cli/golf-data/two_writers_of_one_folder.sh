# The first holds the folder as long as it waits for its input: a lock of the shell stands for it.
for i in $(seq 100); do echo "document $i of a small made-up corpus"; done > a.txt
mkdir set.partial && touch set.partial/.golf-data
exec 9< set.partial
flock 9
golf-data prepare --vocab-size 300 --output set a.txt
