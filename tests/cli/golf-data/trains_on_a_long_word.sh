for i in $(seq 60); do echo "document $i of a small made-up corpus"; done > a.txt
printf '{"text": "data:image/png;base64,%s"}\n' "$(seq 20000 | sha512sum | head -c 100; seq 20000 | tr -d '\n')" > b.jsonl
golf-data prepare --vocab-size 300 --val-every 7 --output set a.txt b.jsonl
golf-data check set --documents a.txt b.jsonl --exact-text > check
golf-data train-tokenizer --vocab-size 300 --output my.model a.txt b.jsonl
