echo "letters beyond what 260 pieces can hold" > a.txt
golf-data train-tokenizer --vocab-size 265 --output a.model a.txt
