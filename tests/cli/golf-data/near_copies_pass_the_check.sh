for i in $(seq 100); do echo "document $i of a small made-up corpus"; done > a.txt
for i in $(seq 100); do printf 'document %s  of a\tsmall\xc2\xa0made-up corpus\n' "$i"; done >> a.txt
golf-data prepare --vocab-size 300 --train-fraction 0.7 --output set a.txt
golf-data check set --documents a.txt
