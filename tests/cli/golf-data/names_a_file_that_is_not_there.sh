golf-data prepare --output set nothing.txt
