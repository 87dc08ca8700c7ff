golf-train --recipe nano --data train.bin --out out --export out/log.jsonl
