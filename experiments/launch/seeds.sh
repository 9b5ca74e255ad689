#!/usr/bin/env bash
# Several seeds at once on one machine, each on a GPU or a processor core of its own.
#
#   SEEDS="0 1 2 3 4" CONFIG=configs/cifar10_resnet18.py WORKDIR=runs/cifar10 \
#     experiments/launch/seeds.sh [--config.field=value ...]
#   CORES="0 1" SEEDS="0 1 2 3" CONFIG=configs/digits_resnet8.py WORKDIR=runs/digits experiments/launch/seeds.sh
#
# One run on all GPUs needs no script: `python -m lpjax.main` takes all that it sees. A small network does not fill
# them, and then seeds side by side are faster. They lie in WORKDIR-seeds/SEED, with a log each, since a work directory
# takes one run at a time; gather.sh puts them together. The same command resumes; Ctrl-C stops all.
set -euo pipefail

: "${CONFIG:=configs/cifar10_resnet18.py}"
: "${WORKDIR:=runs/$(basename "$CONFIG" .py)}"
: "${SEEDS:=0 1 2}"
: "${GPUS:=}"            # "0 1 5"; empty: all
: "${CORES:=}"           # "0 1": a core each, without GPUs (Linux)
: "${PYTHON:=python}"    # one that has lpjax[cuda], or lpjax[run] with CORES

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  awk 'NR > 1 && !/^set / { if (!NF && blank++) exit; sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
  exit
fi

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PLACES=${CORES:-${GPUS:-$(nvidia-smi --query-gpu=index --format=csv,noheader)}}
mkdir -p "$WORKDIR-seeds"

one() { # SLOT comes from xargs: a number below that of the places, which no other seed has at the time
  local seed=$1 places on
  read -ra places <<<"${PLACES//$'\n'/ }"
  on=(env "CUDA_VISIBLE_DEVICES=${places[SLOT]}")
  [[ -z $CORES ]] || on=(taskset --cpu-list "${places[SLOT]}")
  "${on[@]}" "$PYTHON" -m lpjax.main --config="$CONFIG" --workdir="$WORKDIR-seeds/$seed" \
    "--config.seeds=($seed,)" "${@:2}" >>"$WORKDIR-seeds/$seed.log" 2>&1 </dev/null && return
  echo "seeds.sh: seed $seed failed; see $WORKDIR-seeds/$seed.log" >&2
  return 1
}
export -f one
export CONFIG WORKDIR PLACES CORES PYTHON

# The other seeds go on where one fails; the script fails at the end. (bash -c expands "$@" itself.)
# shellcheck disable=SC2016
tr ' ' '\n' <<<"$SEEDS" | xargs -I{} --max-procs="$(wc -w <<<"$PLACES")" --process-slot-var=SLOT \
  bash -c 'one "$@"' seeds.sh {} "$@"
