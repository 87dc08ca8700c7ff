for i in $(seq 200); do echo "document $i of a small made-up corpus"; done > a.txt
golf-data prepare --vocab-size 0300 --val-docs 0100 --output set a.txt
