printf "fine\n\377\n" > a.txt
golf-data prepare --output set a.txt
