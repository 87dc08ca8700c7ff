echo text > a.txt
golf-data encode --tokenizer a.txt --only val --output set a.txt
