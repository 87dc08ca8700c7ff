#!/usr/bin/env bash
# kill -9 in the middle of training, many times: kill_train.sh BIN_FOLDER FAILING_IO_LIBRARY [COUNT]
# Two kills of three come inside a file operation on a checkpoint (a write stops half way), the others at any moment. After each
# the run resumes; now and then its newest checkpoint is damaged before. In the end the weights are those of the unbroken run,
# bit for bit. Then: a second process on the same folder, and the three signals that end a run politely. SEED=n: other moments.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
library=$(realpath "$2")
count=${3:-200}
RANDOM=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
  echo "FAILED: $1"
  tail -n 5 stderr 2>/dev/null || true
  exit 1
}

for i in {1..80}; do echo "report $i says that the hills of the north are $((i % 7)) leagues wide and deep and green"; done >text.txt
golf-data prepare --quiet --vocab-size 300 --val-every 5 --output data text.txt >/dev/null
train=(golf-train --quiet --threads 1 --recipe nano --data data/golf_train_000000.bin --resume)
for value in network.{vocab_size=300,window=16,num_layers=3,model_dim=48,mlp_hidden=64,bigram_buckets=32,bigram_embed_dim=8,ve_dim=8} \
  'network.ve_layers=[2]' batch.tokens=64 batch.micro_windows=4 schedule.warmdown_iters=15 train.ema_decay=0.8; do
  train+=(--set "$value")
done
run=("${train[@]}" --set schedule.iterations=40 --checkpoint-every 1)

started=$(date +%s%N)
"${run[@]}" --out unbroken --export unbroken.safetensors >/dev/null
milliseconds=$((($(date +%s%N) - started) / 1000000))

newest() { find "$1" -name 'step-*.ckpt' | sort | tail -n 1; }
checkpoints() { find "$1" -name 'step-*.ckpt' | wc -l; }

# Tears or rots the newest checkpoint; the next start has to say so and go on from the one before.
damaged=0
damage() {
  local file size before
  (($(checkpoints run) >= 2)) || return 0
  file=$(newest run)
  size=$(stat -c %s "$file")
  if ((damaged++ % 2)); then
    truncate -s $((size * (RANDOM % 100) / 100)) "$file"
  else  # all bits of one byte, somewhere
    local at=$(((RANDOM * 32768 + RANDOM) % size))
    printf "\\x$(printf %02x $((255 - $(od -An -tu1 -j $at -N 1 "$file"))))" | dd of="$file" bs=1 seek=$at conv=notrunc status=none
  fi
  before=$(find run -name 'step-*.ckpt' | sort | tail -n 2 | head -n 1)
  "${run[@]}" --out run --steps 1 >/dev/null 2>stderr || fail "no start after damage to $file"
  grep -q "damaged checkpoint set aside: $file" run/log.jsonl || fail "$file is damaged and was not named"
  [[ -f $file.damaged && $(newest run) == "$before" ]] || fail "$file was not set aside"
}

kills=0 inside=0 finished=0
finish_and_compare() {
  cmp -s unbroken.safetensors run.safetensors || fail "the weights differ after $kills kills"
  finished=$((finished + 1))
  rm -rf run run.safetensors
}
while ((kills < count)); do
  rm -f trace
  code=0
  if ((kills % 3)); then
    LD_PRELOAD=$library GOLF_FAULT_FOLDER=$work GOLF_FAULT_NAME=.ckpt GOLF_FAULT_TRACE=$work/trace GOLF_FAULT_DO=kill \
      GOLF_FAULT_AT=$((RANDOM % 700 + 1)) "${run[@]}" --out run --export run.safetensors >/dev/null 2>stderr &
    wait $! 2>/dev/null || code=$?
  else
    "${run[@]}" --out run --export run.safetensors >/dev/null 2>stderr &
    process=$!
    sleep "$(printf '0.%03d' $((RANDOM % (milliseconds < 900 ? milliseconds : 900))))"
    kill -KILL $process 2>/dev/null || true
    wait $process 2>/dev/null || code=$?
  fi
  case $code in
    0) finish_and_compare ;;
    137)
      kills=$((kills + 1))
      if [[ -f trace && $(tail -n 1 trace) =~ \.partial$|^rename|^unlink ]]; then inside=$((inside + 1)); fi
      for file in run/*.ckpt; do
        [[ ! -f $file ]] || golf-inspect "$file" --verify --quiet >/dev/null 2>stderr || fail "$file is not whole after a kill"
      done
      if ((kills % 5 == 0)); then damage; fi
      ;;
    *) fail "exit code $code after $kills kills" ;;
  esac
done
"${run[@]}" --out run --export run.safetensors >/dev/null 2>stderr || fail "the last resume"
finish_and_compare
echo "ok: $kills kills, $inside of them inside the write of a checkpoint, $damaged damaged checkpoints; $finished runs, each with the unbroken run's weights"
((inside * 4 >= kills)) || fail "too few kills came inside a checkpoint"

for signal in INT TERM HUP; do
  "${train[@]}" --set schedule.iterations=100000000 --out "$signal" >/dev/null 2>stderr &
  process=$!
  for _ in {1..200}; do
    if grep -qs '"event":"step"' $signal/log.jsonl; then break; fi
    sleep 0.05
  done
  [[ $(checkpoints $signal) == 0 ]] || fail "a checkpoint before its time"
  code=0
  "${train[@]}" --set schedule.iterations=10 --out $signal >/dev/null 2>second || code=$?
  [[ $code == 8 ]] || fail "a second process on one folder: exit code $code, expected 8"
  grep -q "$signal" second || fail "the refusal does not name the folder"
  kill -$signal $process
  code=0
  wait $process || code=$?
  [[ $code == 9 ]] || fail "SIG$signal: exit code $code, expected 9"
  golf-inspect "$(newest $signal)" --verify --quiet >/dev/null || fail "no whole checkpoint after SIG$signal"
  echo "ok: a second process is refused, and SIG$signal leaves a checkpoint"
done
