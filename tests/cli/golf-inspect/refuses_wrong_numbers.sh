source "${0%/*}/../wrong_numbers.sh"
refuse_wrong_numbers golf-inspect
refuse_wrong_numbers golf-inspect verify no.audit
