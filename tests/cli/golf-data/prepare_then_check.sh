for i in $(seq 200); do echo "document $i of a small made-up corpus, with ü, 😀 and the number $((i * 7919))"; done > a.txt
golf-data prepare --vocab-size 300 --val-every 10 --output set a.txt
golf-data check set --documents a.txt --exact-text
