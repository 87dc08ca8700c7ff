mkdir out
echo 'another program' >out/log.jsonl
code=0
golf-train --recipe nano --data train.bin --out out --fresh || code=$?
[[ $(<out/log.jsonl) == 'another program' ]]
exit $code
