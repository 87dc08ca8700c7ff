golf-data
