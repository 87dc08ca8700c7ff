echo precious >a.ckpt
ln a.ckpt hard
code=0
golf-inspect a.ckpt --export hard || code=$?
[[ $(<a.ckpt) == precious ]]
exit $code
