for i in {1..400}; do echo "line $i of a text that tells of the number $((i * i))"; done >text
golf-data prepare --quiet --vocab-size 300 --val-every 5 --output data text
golf-train --dry-run --recipe nano --set network.vocab_size=300 --data data --val data
