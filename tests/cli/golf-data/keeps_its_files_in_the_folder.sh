for i in $(seq 100); do echo "document $i of a small made-up corpus"; done > a.txt
mkdir sub
rc=0
golf-data prepare --vocab-size 300 --prefix ../x --output sub/set a.txt || rc=$?
ls sub
exit $rc
