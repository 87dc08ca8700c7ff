echo precious >text.txt
code=0
golf-data train-tokenizer text.txt --output ./text.txt || code=$?
[[ $(<text.txt) == precious ]]
exit $code
