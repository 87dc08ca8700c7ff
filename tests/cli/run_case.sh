#!/usr/bin/env bash
# Runs one case and compares: run_case.sh BIN_FOLDER CASE.sh   (README.md says what a case is)
set -uo pipefail
bin=$(realpath "$1")
case_file=$(realpath "$2")
expected=${case_file%.sh}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/in"
cd "$work/in" || exit 1
PATH="$bin:$PATH" bash -eu "$case_file" >"$work/stdout" 2>"$work/stderr" </dev/null
code=$?

failed=0
complain() {
  echo "FAILED: $1"
  failed=1
}
want_code=0
[[ -f $expected.exit ]] && want_code=$(<"$expected.exit")
((code == want_code)) || complain "exit code $code, expected $want_code"
for stream in stdout stderr; do
  if [[ -f $expected.$stream.exact ]]; then
    diff "$expected.$stream.exact" "$work/$stream" || complain "$stream differs"
  fi
  if [[ -f $expected.$stream.glob ]]; then
    # The unquoted right-hand side is what makes it a pattern.
    [[ $(<"$work/$stream") == $(<"$expected.$stream.glob") ]] || complain "$stream does not match $(<"$expected.$stream.glob")"
  fi
done
if ((failed)); then
  echo "--- stdout"; cat "$work/stdout"
  echo "--- stderr"; cat "$work/stderr"
fi
exit $failed
