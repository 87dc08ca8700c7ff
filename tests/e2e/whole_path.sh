#!/usr/bin/env bash
# Text to score with the programs as users run them, on a network that trains in seconds: whole_path.sh BIN_FOLDER
# What holds is said line by line; the first thing that does not ends the test.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
. "$(dirname "$0")/steps.sh"

exits_with() {  # exits_with CODE COMMAND...
  local want=$1 code=0
  shift
  "$@" >/dev/null 2>&1 || code=$?
  [[ $code == "$want" ]]
}
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }

write_text 600 >text.txt
golf-data prepare --quiet --vocab-size 300 --val-every 5 --output data text.txt >/dev/null
must "shards pass their check" golf-data check data --documents text.txt --exact-text

recipe=(--recipe nano)
for value in network.{vocab_size=300,window=64,num_layers=4,model_dim=48,mlp_hidden=96,bigram_buckets=64,bigram_embed_dim=16,ve_dim=16} \
  'network.ve_layers=[3]' batch.tokens=512 schedule.iterations=30 schedule.warmdown_iters=15 train.ema_decay=0.8 validation.every=15; do
  recipe+=(--set "$value")
done
data=(--data 'data/golf_train_*.bin' --val 'data/golf_val_*.bin' --tokenizer data/tokenizer.model --quiet)
train() { golf-train "${recipe[@]}" "${data[@]}" "$@" >/dev/null; }

train --out run --export ema.safetensors --save-hessians run.hessians --calibrate-windows 4
checkpoint=run/step-00000030.ckpt
mapfile -t losses < <(grep '"weights":"raw"' run/log.jsonl | grep -o '"bits_per_byte":[0-9.]*' | cut -d: -f2)
must "training lowers the bits per byte of text it has not seen" less "${losses[-1]}" "$(awk -v x="${losses[0]}" 'BEGIN { print x / 2 }')"

train --out stopped --steps 11
must "a checkpoint is left at step 11" test -f stopped/step-00000011.ckpt
train --out stopped --resume
pack() { golf-pack "$@" --quiet >/dev/null 2>&1; }
pack $checkpoint --preset pr668 -o model.ptz
pack stopped/step-00000030.ckpt --preset pr668 -o resumed.ptz
must "stopping and resuming changes no bit" cmp model.ptz resumed.ptz
wide() {  # matrices as large as the demo's, which threads share in more than one way
  golf-train --recipe nano --set network.vocab_size=300 --set network.window=64 --set batch.tokens=512 --steps 4 --set validation.every=0 \
    "${data[@]}" --out "wide$1" --threads "$1" >/dev/null
  pack "wide$1/step-00000004.ckpt" --preset float -o "wide$1.ptz"
}
wide 1
wide 2
must "one thread and two train to the same bits" cmp wide1.ptz wide2.ptz
pack $checkpoint --preset pr668 -o again.ptz
must "packing twice gives the same file" cmp model.ptz again.ptz

must "a run that took too long is exit code 5" exits_with 5 train --out run --resume --max-train-seconds 0.000001
late() { golf-train "${recipe[@]}" "${data[@]}" --out run --resume --json --max-train-seconds 0.000001 --over-time warn; }
late >late.json 2>late.stderr
must "a warning of too much time is no failure" grep -q '"over_time": true' late.json
must "and stands on stderr" grep -q 'golf-train: warning: training took' late.stderr
golf-train "${recipe[@]}" "${data[@]}" --out run --resume >resumed.txt
must "a finished run that is resumed says that nothing was left" grep -q '30 steps, nothing was left to train' resumed.txt
must "and names its checkpoint" grep -qx "checkpoint: $checkpoint" resumed.txt
must "in JSON as well" test "$(field loss_nats late.json) $(field checkpoint late.json)" = "null \"$checkpoint\""
gptq=(--preset int5 --level 1)
pack $checkpoint "${gptq[@]}" --hessians run.hessians -o trained.ptz
pack $checkpoint "${gptq[@]}" --calibrate 'data/golf_train_*.bin' --calibrate-windows 4 --precision bf16 -o calibrated.ptz
must "Hessians collected after the last step are those that packing would collect" cmp trained.ptz calibrated.ptz
must "and their seconds count" exits_with 5 \
  golf-pack $checkpoint "${gptq[@]}" --hessians run.hessians --max-train-seconds 0.000001 --dry-run

bytes=$(stat -c %s model.ptz)
head -c 100 /dev/zero >code.py
must "an artifact that fills the budget to the byte is written" \
  pack $checkpoint --preset pr668 -o fits.ptz --code code.py --max-bytes $((bytes + 100))
must "one byte more is exit code 5" \
  exits_with 5 golf-pack $checkpoint --preset pr668 -o over.ptz --code code.py --max-bytes $((bytes + 99))
must "and leaves nothing behind" test ! -e over.ptz
must "the gate for existing artifacts agrees" golf-pack --check model.ptz --max-bytes "$bytes" --quiet
must "on both sides" exits_with 5 golf-pack --check model.ptz --max-bytes $((bytes - 1))

score() { golf-run "$1" 'data/golf_val_*.bin' --stride 32 --json "${@:3}" >"$2"; }
nll() { field nll_sum_nats "$1"; }
score model.ptz plain.json
score model.ptz threads.json --threads 1
score model.ptz batch.json --batch 7
must "one thread and all threads score alike, bit for bit" test "$(nll plain.json)" = "$(nll threads.json)"
must "so do batches of 32 and of 7" test "$(nll plain.json)" = "$(nll batch.json)"
must "every target is scored once" test "$(field scored plain.json)" = "$(field target_tokens plain.json)"
must "the bytes are those that golf-data counted" \
  test "$(field bytes_scored plain.json)" = "$(grep -o '"counted_bytes": *[0-9]*' data/dataset.json | tail -n 1 | tr -dc 0-9)"

ttt=(--ttt-chunk 512 --ttt-batch 2 --ttt-epochs 2)
score model.ptz ttt.json "${ttt[@]}" --audit ttt.audit
score model.ptz ttt_again.json "${ttt[@]}" --audit ttt_again.audit
must "learning from what was scored lowers bits per byte" less "$(field val_bpb ttt.json)" "$(field val_bpb plain.json)"
must "test-time training twice gives the same audit log" cmp ttt.audit ttt_again.audit
must "the receipt holds the hash of the log's last line" \
  test "$(field audit_head_sha256 ttt.json)" = "\"$(tail -n 1 ttt.audit | tr -d '\n' | sha256sum | cut -d' ' -f1)\""
must "every check of legality passes, test-time training on" \
  golf-run model.ptz 'data/golf_val_*.bin' --stride 32 --check all --check-samples 4 --limit-tokens 1500 "${ttt[@]}" --quiet
slot=(--ttt-preset slot --ttt-chunk 64)
score model.ptz slot.json "${slot[@]}" --audit slot.audit
must "an offset on the last hidden state, learnt from what was scored, lowers bits per byte" \
  less "$(field val_bpb slot.json)" "$(field val_bpb plain.json)"
must "and its log and receipt are those of a legal run" \
  golf-inspect verify slot.audit --artifact model.ptz --shards 'data/golf_val_*.bin' --receipt slot.json
must "and by every check" \
  golf-run model.ptz 'data/golf_val_*.bin' --stride 32 --check all --check-samples 4 --limit-tokens 1500 "${slot[@]}" --quiet
limited() { golf-run model.ptz 'data/golf_val_*.bin' --plain --receipt limits.json --force --quiet "$@"; }
must "artifact and code that fit the budget are scored" limited --code code.py --max-bytes $((bytes + 100))
must "and the receipt says their sum" test "$(field total_bytes limits.json)" = $((bytes + 100))
must "one byte less is exit code 5" exits_with 5 limited --code code.py --max-bytes $((bytes + 99))
must "so is an evaluation that takes too long" exits_with 5 limited --max-eval-seconds 0.000001
golf-pack $checkpoint "${gptq[@]}" --hessians run.hessians --json -o made.ptz >made.json
must "what golf-pack measured enters the receipt" \
  golf-run made.ptz 'data/golf_val_*.bin' --plain --receipt made.receipt --quiet --packing made.json --max-train-seconds 600
must "to the digit" test "$(field calibration_seconds made.receipt)" = "$(field calibration_seconds made.json)"
made() { golf-run made.ptz 'data/golf_val_*.bin' --plain --quiet "$@"; }
must "training that took too long is exit code 5" exits_with 5 made --packing made.json --max-train-seconds 0.000001
made --packing made.json --max-train-seconds 0.000001 --over-time warn --receipt made.receipt --force >/dev/null 2>&1
must "and only noted in the receipt where that is asked" test "$(field over_time made.receipt)" = true
must "a report of another artifact is exit code 4" exits_with 4 limited --packing made.json
must "and so is what is no report" exits_with 4 made --packing plain.json
must "made.json has the hashes of checkpoint and artifact" \
  test "$(field input_sha256 made.json) $(field artifact_sha256 made.json)" = \
       "\"$(sha256sum <$checkpoint | cut -d' ' -f1)\" \"$(sha256sum <made.ptz | cut -d' ' -f1)\""
must "a receipt that is there is not replaced" exits_with 2 made --receipt made.receipt
verify() { golf-inspect verify "$@" --artifact model.ptz --shards 'data/golf_val_*.bin' --receipt ttt.json; }
must "the log fits together, and fits artifact, shards, tokenizer and receipt" verify ttt.audit --tokenizer data/tokenizer.model
must "and a sample of its scores is computed again" verify ttt.audit --rerun-sample 3
must "and all of them" verify ttt.audit --rerun
sed '3s/"count":[0-9]*/"count":1/' ttt.audit >forged.audit
must "a forged record is exit code 4" exits_with 4 verify forged.audit

pack $checkpoint --preset float -o float.ptz
pack ema.safetensors "${recipe[@]}" --tokenizer data/tokenizer.model --preset float -o imported.ptz
score float.ptz float.json
score imported.ptz imported.json
must "weights that left as safetensors come back with the same score" test "$(nll float.json)" = "$(nll imported.json)"
golf-inspect model.ptz --export once.safetensors --quiet >/dev/null
golf-inspect resumed.ptz --export twice.safetensors --quiet >/dev/null
must "dequantised weights are the same each time" cmp once.safetensors twice.safetensors

must "a sound artifact verifies" golf-inspect model.ptz --verify --quiet
cp model.ptz broken.ptz
printf '\377' | dd of=broken.ptz bs=1 seek=$((bytes / 2)) conv=notrunc status=none
must "a changed byte is exit code 4 for golf-inspect" exits_with 4 golf-inspect broken.ptz --verify
must "and for golf-run" exits_with 4 golf-run broken.ptz 'data/golf_val_*.bin'
must "a checkpoint is no artifact" exits_with 4 golf-run $checkpoint 'data/golf_val_*.bin'
