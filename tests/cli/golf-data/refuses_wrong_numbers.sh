source "${0%/*}/../wrong_numbers.sh"
refuse_wrong_numbers golf-data prepare no.txt --output no
refuse_wrong_numbers golf-data encode no.txt --output no --tokenizer no.model
refuse_wrong_numbers golf-data train-tokenizer no.txt --output no
