#!/usr/bin/env bash
# The four published systems end to end at reduced width: each recipe trained on the shards of tools/demo.sh, packed with
# its own preset, scored without and with its own test-time training on 24,576 targets, the log of that verified. Prints one table.
#   four_systems.sh [STEPS] [FOLDER]      120, build/four_systems; about ten minutes on two cores
set -euo pipefail
cd "$(dirname "$0")/../.."

steps=${1:-120}
folder=$(realpath -m "${2:-build/four_systems}")
shards=$(realpath build/demo/shards) || { echo "no shards: run tools/demo.sh first" >&2; exit 3; }
PATH=$PWD/build/release/bin:$PATH
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
train="$shards/golf_train_*.bin" validation="$shards/golf_val_*.bin"

# Depth and features stay; width, text and steps fit a small machine. Narrower matrices than these the presets keep as floats.
small=()
for value in network.{window=512,model_dim=256,num_heads=4,rope_train_seq_len=0,bigram_buckets=1024,bigram_embed_dim=128} \
  batch.{tokens=8192,slices=1} schedule.{iterations="$steps",warmdown_iters=$((steps * 7 / 10)),max_wallclock_seconds=0} \
  muon.{momentum=0.95,momentum_warmup_start=0.85,momentum_warmup_steps=50} train.ema_decay=0.97 validation.{every=0,max_tokens=65536}; do
  small+=(--set "$value")
done
declare -A width=(
  [pr598]='--set network.num_kv_heads=2 --set network.mlp_hidden=768 --set network.ve_dim=64'
  [pr668]='--set network.num_kv_heads=2 --set network.mlp_hidden=768 --set network.ve_dim=64'
  [pr1004]='--set network.num_kv_heads=4 --set network.mlp_hidden=896 --set network.ve_dim=64'
  [pr1232]='--set network.num_kv_heads=2 --set network.mlp_hidden=768'
)
pack_pr1004=(--calibrate "$train" --calibrate-windows 128 --save-hessians pr1004.hessians)

field() { grep -o "\"$1\": *[^,}]*" "$2" | head -n 1 | sed 's/^[^:]*: *//'; }
score() { golf-run "$1" "$validation" --stride 256 --limit-tokens 24577 --receipt "$2" --quiet "${@:3}" >/dev/null; }
pack() { golf-pack "$1"/*"$steps".ckpt --preset "$2" -o "$3" --quiet "${@:4}" >/dev/null; }
bpb() { printf %.6f "$(field val_bpb "$1")"; }

echo "| | parameters | float | packed | packed + TTT | bytes | train, pack, score, TTT (s) |"
echo "|---|---|---|---|---|---|---|"
for system in pr598 pr668 pr1004 pr1232; do
  begin=$SECONDS
  # shellcheck disable=SC2086  # several words on purpose
  golf-train --recipe $system "${small[@]}" ${width[$system]} --data "$train" --val "$validation" \
    --tokenizer "$shards/tokenizer.model" --out $system --quiet --json >$system.train.json
  trained=$SECONDS
  extra=()
  if [[ $system == pr1004 ]]; then extra=("${pack_pr1004[@]}"); fi
  pack $system $system $system.ptz "${extra[@]}"
  packed=$SECONDS
  pack $system float $system.float.ptz
  score $system.float.ptz $system.float.json
  begin_score=$SECONDS
  score $system.ptz $system.packed.json
  scored=$SECONDS
  score $system.ptz $system.ttt.json --ttt-preset $system --ttt-chunk 8192 --ttt-batch 4 --audit $system.audit
  adapted=$SECONDS
  golf-inspect verify $system.audit --artifact $system.ptz --shards "$validation" --receipt $system.ttt.json --quiet >/dev/null
  echo "| $system | $(field parameters $system.train.json) | $(bpb $system.float.json) | $(bpb $system.packed.json) | $(bpb $system.ttt.json)" \
    "| $(stat -c %s $system.ptz) | $((trained - begin)), $((packed - trained)), $((scored - begin_score)), $((adapted - scored)) |"
done

# What GPTQ saves of what int5 loses, neither pruned.
pack pr1004 pr1004 nearest.ptz --gptq off --prune 0
pack pr1004 pr1004 gptq.ptz --hessians pr1004.hessians --prune 0
score nearest.ptz nearest.json
score gptq.ptz gptq.json
awk -v float="$(bpb pr1004.float.json)" -v nearest="$(bpb nearest.json)" -v gptq="$(bpb gptq.json)" 'BEGIN {
  printf "\nint5 costs %.6f bpb with nearest codes, %.6f with GPTQ: %.0f %%\n", nearest - float, gptq - float, 100 * (gptq - float) / (nearest - float) }'
