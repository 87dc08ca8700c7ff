echo text > a.txt
golf-data encode --val-docs 1 --val-every 2 --tokenizer none --output set a.txt
