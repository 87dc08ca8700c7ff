for i in $(seq 20); do echo "{\"text\": \"document $i of a small made-up corpus\", \"score\": NaN}"; done > a.json
echo '{"text": "broken \ud83d emoji"}' >> a.json
golf-data prepare --vocab-size 300 --output set a.json
