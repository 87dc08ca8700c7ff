echo precious >run.json
golf-run net.ptz shard.bin --receipt run.json || code=$?
[[ $(<run.json) == precious ]]
exit $code
