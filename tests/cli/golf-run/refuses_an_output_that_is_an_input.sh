# Through a symbolic link, and before anything is read.
echo precious >val.bin
ln -s val.bin link
code=0
golf-run model.ptz val.bin --receipt link || code=$?
[[ $(<val.bin) == precious ]]
exit $code
