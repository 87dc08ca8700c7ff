# refuse_wrong_numbers PROGRAM [ARGUMENT...]: each flag that --help lists with a number refuses what is none, and what does
# not fit: exit code 2 and one short line that names the flag. The arguments make the command line right but for that.
refuse_wrong_numbers() {
  local flags flag kind value code
  flags=$("$@" --help | grep -oE -- '--[a-z0-9-]+ (N|K|M|F|X|SECONDS)\b' | sort -u)
  while read -r flag kind; do
    # 23 digits are no whole number of 64 bits; as a real number they are one.
    for value in -1 0x10 1e999 nan inf '' ' 1' 1.2.3 "$(printf '9%.0s' {1..400})" 99999999999999999999999; do
      if [[ $kind != [NK] && $value == 99999999999999999999999 ]]; then continue; fi
      code=0
      "$@" "$flag" "$value" >out 2>err || code=$?
      if ((code != 2)) || ! grep -q -- "$flag: expected" err || (($(wc -c <err) > 300)); then
        echo "$* $flag '$value': exit code $code: $(<err)"
        return 1
      fi
    done
  done <<<"$flags"
}
