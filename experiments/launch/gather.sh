#!/usr/bin/env bash
# Puts seeds that ran side by side (WORKDIR-seeds/SEED, by slurm.sh or seeds.sh) together into one work directory.
#
#   CONFIG=configs/cifar10_resnet18.py WORKDIR=runs/cifar10 experiments/launch/gather.sh [--config.field=value ...]
#
# Give it the fields that the seeds were given. Seeds are copied, then the usual command sees that nothing is left to
# train, and writes results and report over all of them.
set -euo pipefail

: "${CONFIG:=configs/cifar10_resnet18.py}"
: "${WORKDIR:=runs/$(basename "$CONFIG" .py)}"
: "${PYTHON:=python}"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  awk 'NR > 1 && !/^set / { if (!NF && blank++) exit; sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
  exit
fi

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

refuse() {
  echo "gather.sh: $1" >&2
  exit 2
}

numbers=()
for folder in "$WORKDIR"-seeds/*/seed_*; do
  [[ -d $folder ]] || refuse "no seeds lie in $WORKDIR-seeds; start slurm.sh or seeds.sh first"
  [[ -f $(dirname "$folder")/results.csv ]] || refuse "$folder is not finished; start its command again"
  numbers+=("${folder##*_}")
done
mkdir -p "$WORKDIR"
for record in config.json environment.json; do # whose seeds these are: the command below refuses other settings
  [[ -f $WORKDIR/$record ]] || cp "$WORKDIR-seeds/${numbers[0]}/$record" "$WORKDIR/"
done
for folder in "$WORKDIR"-seeds/*/seed_*; do
  if [[ ! -d $WORKDIR/${folder##*/} ]]; then # a copy that was cut off must not look like a seed
    rm -rf "$WORKDIR/copying" && cp -R "$folder" "$WORKDIR/copying" && mv "$WORKDIR/copying" "$WORKDIR/${folder##*/}"
  fi
done
seeds=$(IFS=, && echo "${numbers[*]}")
"$PYTHON" -m lpjax.main --config="$CONFIG" --workdir="$WORKDIR" "--config.seeds=($seeds,)" "$@"
