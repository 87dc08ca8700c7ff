# What the end-to-end scripts share: to be sourced. Each works in a folder of its own, which goes away with it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

must() {  # must "what holds" COMMAND...: the command succeeds
  local what=$1
  shift
  if "$@" >output.log 2>&1; then
    echo "ok: $what"
  else
    tail -n 40 output.log stderr 2>/dev/null || true
    echo "FAILED: $what"
    exit 1
  fi
}
field() { grep -o "\"$1\": *[^,}]*" "$2" | head -n 1 | sed 's/^[^:]*: *//'; }  # field NAME JSON_FILE
# Lines in which a word follows from the ones before it, so that there is something to learn.
write_text() {  # write_text LINES
  awk -v lines="$1" 'BEGIN {
    split("lakes rivers hills roads towns woods", places); split("deep wide long old quiet green", words)
    for (i = 0; i < lines; ++i) {
      a = i % 6 + 1; b = int(i / 6) % 6 + 1
      printf "report %d says that the %s of the north are %s and that the %s of the south are %s too\n", i, places[a], words[a], places[b], words[b]
    }
  }'
}
