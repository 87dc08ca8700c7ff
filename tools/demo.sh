#!/usr/bin/env bash
# The whole path on real text, from a fresh Debian machine to a table: packages, build, shards of the King James text, a
# small network trained, packed under a budget, and scored without and with test-time training.
#   tools/demo.sh [FOLDER]      everything it makes goes there (build/demo)
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(realpath -m "${1:-build/demo}")
max_bytes=1200000
log=$folder/commands.log

tools/setup.sh --demo
tools/build.sh golf-data golf-train golf-pack golf-run golf-inspect
PATH=$PWD/build/release/bin:$PATH
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
started=$SECONDS

show() {  # runs a command; it, its output and its time go to the log, and all but the progress to the screen
  printf '\n$ %s\n' "$*" | tee -a "$log"
  local begin=$SECONDS
  "$@" 2> >(tee -a progress.log >&2) | tee -a "$log"
  printf '(%d s)\n' $((SECONDS - begin)) | tee -a "$log"
}

# One chapter per line. `bible` puts a mark such as "Ge1:1 " before each verse; a few verses have double spaces.
bible -f gen1:1-rev22:21 | awk '
  { chapter = $1; sub(/:.*/, "", chapter); $1 = ""; sub(/^ /, "")
    printf "%s%s", chapter == last ? " " : NR == 1 ? "" : "\n", $0
    last = chapter }
  END { print "" }' >chapters.txt

show golf-data prepare --vocab-size 1024 --val-every 10 --output shards chapters.txt
show golf-data check shards --documents chapters.txt --exact-text
show golf-train --recipe nano --data 'shards/golf_train_*.bin' --val 'shards/golf_val_*.bin' \
  --tokenizer shards/tokenizer.model --out run
checkpoint=$(ls run/*.ckpt | tail -n 1)
show golf-pack "$checkpoint" --preset float --output float.ptz
show golf-pack "$checkpoint" --preset int6 --max-bytes $max_bytes --output nano.ptz
validation='shards/golf_val_*.bin'
show golf-run float.ptz "$validation" --stride 256 | tee float.txt
show golf-run nano.ptz "$validation" --stride 256 | tee packed.txt
show golf-run nano.ptz "$validation" --stride 256 --ttt --ttt-chunk 8192 --ttt-batch 4 --audit ttt.audit \
  --receipt ttt.json | tee ttt.txt
show golf-inspect verify ttt.audit --artifact nano.ptz --shards "$validation" --receipt ttt.json

# What a general compressor makes of the same validation bytes.
awk 'NR % 10 == 0 { printf "%s", $0 }' chapters.txt >validation.txt
validation_bytes=$(stat -c %s validation.txt)
xz_bytes=$(xz -9 --stdout validation.txt | wc -c)

bpb() { awk '$1 == "bpb" { print $2 }' "$1"; }
{
  echo
  echo "| on $validation_bytes bytes of validation text | bits per byte | bytes |"
  echo "|---|---|---|"
  echo "| float32 weights | $(bpb float.txt) | $(stat -c %s float.ptz) |"
  echo "| packed (int6) | $(bpb packed.txt) | $(stat -c %s nano.ptz) of $max_bytes |"
  echo "| packed + test-time training | $(bpb ttt.txt) | the same |"
  echo "| xz -9 | $(awk -v b="$xz_bytes" -v n="$validation_bytes" 'BEGIN { printf "%.6f", 8 * b / n }') | $xz_bytes |"
  echo
  echo "$((SECONDS - started)) s without packages and build; commands and their output: $log"
} | tee -a "$log"
