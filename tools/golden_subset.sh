#!/usr/bin/env bash
# Copies the cases that a clone tests itself with out of a full set of golden cases:
#   tools/golden_subset.sh FULL_SET MORE [tests/golden/data]
# Each kind of case is there at least once; files that a case shares with its neighbours come along. MORE holds cases that
# FULL_SET lacks. At most 4,000,000 bytes.
set -euo pipefail

full=${1:?usage: tools/golden_subset.sh FULL_SET MORE [TO]}
more=${2:?usage: tools/golden_subset.sh FULL_SET MORE [TO]}
to=${3:-$(dirname "$0")/../tests/golden/data}
max_bytes=4000000

cases=(
  598/{attention,bigram,bigram_noxor,m_one,mlp,optim_qat,qat,quant_fn,quant_sd,rope,schedule,sliding,small,smear,ttt,value_embedding,xsa}
  668/{quant_fn,schedule,sliding}
  1004/{attention,bigram,calibrate,gptq_small_block,mlp,prune,qat,quant_fn,rope,schedule,sliding,smear,ttt,value_embedding,xsa}
  1232/{attention,bigram,flow_refiner,mlp,model_flow,qat,quant_fn,rope,schedule,smear,xsa}
  common/{adamw,bytes,loader,muon,newton_schulz,quant_sd_inputs,quant_w}
)

for case in "${cases[@]}"; do
  from=$full
  if [[ ! -d $from/$case ]]; then from=$more; fi
  mkdir -p "$to/$case"
  cp "$from/$case"/* "$to/$case/"
  grep -o '"file": *"\.\./[^"]*"' "$from/$case/manifest.json" | cut -d'"' -f4 | sort -u | while read -r file; do
    mkdir -p "$(dirname "$to/$case/$file")"
    cp "$from/$case/$file" "$to/$case/$file"
  done || true  # no shared files: grep finds nothing
done
find "$to" -type f -exec chmod 644 {} +

kinds() { find "$1" -name manifest.json -exec grep -ho '"kind": *"[^"]*"' {} + | sort -u; }
if ! missing=$(diff <(kinds "$full") <(kinds "$to")); then
  echo "kinds that no copied case has:" "$missing" >&2
  exit 1
fi
total=$(find "$to" -type f -printf '%s\n' | awk '{s += $1} END {print s}')
echo "${#cases[@]} cases, $total bytes of $max_bytes"
((total <= max_bytes))
