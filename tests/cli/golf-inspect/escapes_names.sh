golf-inspect $'e\xe9\e[31m\n\xc2\x9b2J'
