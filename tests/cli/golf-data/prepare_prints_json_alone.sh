for i in $(seq 100); do echo "document $i of a small made-up corpus"; done > a.txt
golf-data prepare --vocab-size 300 --json --output set a.txt > out.json
diff <(head -c 1 out.json) <(printf '{')
cat set/dataset.json | tr -d ' \n' > a
tr -d ' \n' < out.json > b
diff a b
