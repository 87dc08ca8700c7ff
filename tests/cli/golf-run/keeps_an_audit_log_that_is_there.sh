echo precious >run.audit
golf-run net.ptz shard.bin --audit run.audit || code=$?
[[ $(<run.audit) == precious ]]
exit $code
