printf "one\ntwo\n{\n" > a.jsonl
code=0
golf-data prepare --output set a.jsonl 2>/dev/null || code=$?
[[ $code == 4 ]]
[[ ! -e set && ! -e set.partial ]]
