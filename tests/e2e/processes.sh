#!/usr/bin/env bash
# Several processes share one job, as users start them: processes.sh BIN_FOLDER MPIRUN
# As root and in containers Open MPI wants the environment of tests/CMakeLists.txt.
# What holds is said line by line; the first thing that does not ends the test.
set -euo pipefail
bin=$(realpath "$1")
PATH=$bin:$PATH
mpirun=$2
. "$(dirname "$0")/steps.sh"

processes() {  # processes N COMMAND...; what it says on stderr is kept
  local n=$1
  shift
  timeout 100 "$mpirun" -n "$n" "$@" 2>stderr
}
exits_with() {  # exits_with CODE N COMMAND...
  local want=$1 code=0
  shift
  processes "$@" >/dev/null || code=$?
  [[ $code == "$want" ]]
}
says_once() { [[ $(grep -c 'golf-[a-z]*: error: ' stderr) == 1 ]] && grep -q "golf-.*: error: .*$1" stderr; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(d < 1e-6 && d > -1e-6) }'; }
bpb() { grep '"weights":"ema"' "$1/log.jsonl" | tail -n 1 | grep -o '"bits_per_byte":[0-9.]*' | cut -d: -f2; }

write_text 400 >text.txt
golf-data prepare --quiet --vocab-size 300 --val-every 5 --output data text.txt >/dev/null

train=(golf-train --quiet --recipe nano --precision fp32 --data 'data/golf_train_*.bin' --val 'data/golf_val_*.bin' --tokenizer data/tokenizer.model)
for value in network.{vocab_size=300,window=32,num_layers=3,model_dim=48,mlp_hidden=64,bigram_buckets=32,bigram_embed_dim=8,ve_dim=8} \
  'network.ve_layers=[2]' batch.tokens=256 batch.micro_windows=1 schedule.warmdown_iters=15 train.ema_decay=0.8; do
  train+=(--set "$value")
done
short=("${train[@]}" --set schedule.iterations=20)

"${short[@]}" --out one >/dev/null
for n in 2 3; do
  must "$n processes train" processes $n "${short[@]}" --out "run$n" --export "run$n.safetensors"
  must "to the bits per byte of one" near "$(bpb "run$n")" "$(bpb one)"
  must "and one of them writes" test "$(grep -c '"event":"step"' "run$n/log.jsonl")" = 20
done
must "the same number of processes trains again" processes 3 "${short[@]}" --out again --export again.safetensors
must "to the same bits" cmp run3.safetensors again.safetensors
must "a run of 2 stops" processes 2 "${short[@]}" --out resumed --steps 7
must "3 go on with it" processes 3 "${short[@]}" --out resumed --resume --steps 12
"${short[@]}" --out resumed --resume >/dev/null
must "and one ends it, as if it had been alone" near "$(bpb resumed)" "$(bpb one)"

golf-train --quiet --evaluate one/step-00000020.ckpt --val 'data/golf_val_*.bin' --json >evaluated.json
processes 3 golf-train --quiet --evaluate one/step-00000020.ckpt --val 'data/golf_val_*.bin' --json >evaluated3.json
must "3 processes evaluate a checkpoint as one does, bit for bit" cmp evaluated.json evaluated3.json

golf-pack one/step-00000020.ckpt --preset pr668 -o model.ptz --quiet >/dev/null 2>&1
score=(golf-run model.ptz 'data/golf_val_*.bin' --stride 16 --json --batch 5)
ttt=(--ttt-chunk 256 --ttt-batch 5 --ttt-epochs 2)
"${score[@]}" >plain.json
"${score[@]}" "${ttt[@]}" >ttt.json
for n in 2 3; do
  processes $n "${score[@]}" --audit plain.audit --receipt plain.receipt --force >plain$n.json
  must "$n processes score as one does, bit for bit" test "$(field nll_sum_nats plain$n.json)" = "$(field nll_sum_nats plain.json)"
  must "the receipt says how many they were" test "$(field processes plain.receipt)" = "$n"
  processes $n "${score[@]}" "${ttt[@]}" --audit ttt.audit --receipt ttt.receipt --force >ttt$n.json
  must "$n processes train at test time as one does" near "$(field val_bpb ttt$n.json)" "$(field val_bpb ttt.json)"
  verify=(golf-inspect verify ttt.audit --artifact model.ptz --shards 'data/golf_val_*.bin' --receipt ttt.receipt)
  must "and their log and receipt fit together" "${verify[@]}"
  must "as many processes run it again, line by line" processes $n "${verify[@]}" --rerun
  must "one is not enough for that" exits_with 2 1 "${verify[@]}" --rerun
done

OMPI_MCA_hwloc_base_binding_policy=none processes 2 "${score[@]}" >unbound.json
cores=$(nproc)
must "processes of one machine divide its cores" test "$(field threads unbound.json)" = $((cores > 1 ? cores / 2 : 1))
OMP_NUM_THREADS=3 processes 2 "${score[@]}" >three.json
must "unless OMP_NUM_THREADS says how many threads each has" test "$(field threads three.json)" = 3

must "a wrong flag is exit code 2" exits_with 2 2 "${score[@]}" --no-such-flag
must "and is said once" says_once no-such-flag
must "a missing file is exit code 3" exits_with 3 3 golf-run missing.ptz data
must "and is said once" says_once missing.ptz
must "processes with different options do not start" \
  exits_with 2 1 golf-run model.ptz data --plain : -n 1 golf-run model.ptz data --plain --batch 3
must "which is said once" says_once "rank 1 has another command line"
mkdir -p lonely/bin
cp "$bin/golf-run" lonely/bin/
must "without the module several processes are refused with exit code 3" exits_with 3 2 lonely/bin/golf-run model.ptz data --plain
must "and told what to do" grep -q "2 processes share this job .*lonely/lib/golf_mpi.so.*build golf where CMake finds MPI" stderr
must "while one needs no module" lonely/bin/golf-run model.ptz data --plain

# endless LOG N COMMAND...: N processes in the background that have made their first step, as their log says; $job, and their
# ids in pid.RANK
endless() {
  local out=$1 n=$2
  shift 2
  rm -f pid.*
  OMPI_MCA_odls_base_sigkill_timeout=3 timeout --foreground 100 "$mpirun" -n "$n" \
    bash -c 'echo $$ >pid.${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec "$@"' start \
    "$@" >/dev/null 2>stderr &
  job=$!
  for _ in {1..400}; do
    if grep -qs '"event":"step"\|"type":"header"' "$out"; then return; fi
    sleep 0.05
  done
  cat stderr
  echo "FAILED: no step of $out"
  exit 1
}
ended() {  # all processes of the job are gone, or wait for init to take note
  local file
  for file in pid.*; do
    ! grep -qs . "/proc/$(cat "$file")/cmdline" || return 1
  done
}
endless_training() { endless "$1/log.jsonl" "$2" "${train[@]}" --set schedule.iterations=100000000 --out "$1"; }
for rank in 0 1; do
  endless_training "stopped$rank" 3
  kill -TERM "$(cat pid.$rank)"
  code=0
  wait $job || code=$?
  must "SIGTERM to rank $rank ends all with exit code 9" test $code = 9
  must "and a checkpoint" golf-inspect "stopped$rank"/step-*.ckpt --verify --quiet
  must "which is said once" says_once "saved as stopped$rank/step-"
done
endless run.audit 2 "${score[@]}" --ttt-chunk 256 --ttt-epochs 100000000 --audit run.audit
kill -TERM "$(cat pid.1)"
code=0
wait $job || code=$?
must "SIGTERM to a process that scores ends all with exit code 9" test $code = 9
must "which is said once" says_once "rank 1: stopped by a signal"
endless_training stopped 2
kill -TERM $job
wait $job || true
must "so does SIGTERM to mpirun" says_once "saved as stopped/step-"
must "with a checkpoint" golf-inspect stopped/step-*.ckpt --verify --quiet
must "and nobody left" ended
endless_training killed 3
kill -KILL "$(cat pid.1)"
code=0
wait $job || code=$?
must "a process that is killed ends all, as a failure" test $code != 0
must "and nobody is left" ended
