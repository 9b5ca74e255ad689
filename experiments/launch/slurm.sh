#!/usr/bin/env bash
# A run on nodes with GPUs, by SLURM: one run over several nodes, or a job array with one run a seed.
#
#   NODES=4 GPUS=8 CONFIG=configs/imagenet_resnet18.py WORKDIR=runs/imagenet \
#     experiments/launch/slurm.sh [--config.field=value ...]
#   SEEDS=0-4 GPUS=1 CONFIG=configs/cifar10_resnet18.py WORKDIR=runs/cifar10 experiments/launch/slurm.sh
#
# Outside of a job it submits itself. Two minutes before the time limit, and at pre-emption, SLURM sends SIGTERM, the
# run saves and ends with 143, and the job goes back into the queue, to resume. The seeds of an array lie in
# WORKDIR-seeds/SEED, since a work directory takes one run at a time; gather.sh puts them together.
#
# Partition and account are sbatch's own variables, SBATCH_PARTITION and SBATCH_ACCOUNT. The others, with defaults:
set -euo pipefail

export CONFIG=${CONFIG:-configs/imagenet_resnet18.py}
export WORKDIR=${WORKDIR:-runs/$(basename "$CONFIG" .py)} # on a disk that all nodes see
export NODES=${NODES:-1}
export GPUS=${GPUS:-8}                                    # of a node
export PER=${PER:-node}                                   # one process a 'node', or a 'gpu'
export CPUS=${CPUS:-32}                                   # of a node; images are decoded on them
export LIMIT=${LIMIT:-24:00:00}                           # of one stretch; the queue brings the next
export SEEDS=${SEEDS:-}                                   # 0-4 or 0,1,2: an array; empty: those of the config
export PYTHON=${PYTHON:-python}                           # one that has lpjax[cuda], on every node

SAVED=143

case $PER in
  node) tasks=1 ;;
  gpu) tasks=$GPUS ;;
  *) echo "slurm.sh: PER is '$PER'; give node or gpu" >&2; exit 2 ;;
esac

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  awk 'NR > 1 && !/^set / { if (!NF && blank++) exit; sub(/^# ?/, ""); print }' "${BASH_SOURCE[0]}"
  exit
fi

if [[ -z ${SLURM_JOB_ID:-} ]]; then
  cd "$(dirname "${BASH_SOURCE[0]}")/../.."
  mkdir -p "$(dirname "$WORKDIR")"
  # All tasks see all GPUs of their node (no --gpus-per-task): of several, JAX itself gives each its own, and would look
  # for GPU 1 where SLURM had left but a GPU 0; a single one takes all.
  exec sbatch --job-name="$(basename "$WORKDIR")" --nodes="$NODES" --ntasks-per-node="$tasks" --gpus-per-node="$GPUS" \
    --cpus-per-task=$((CPUS / tasks)) --time="$LIMIT" --signal=TERM@120 --requeue --open-mode=append \
    --output="$WORKDIR-%j.log" ${SEEDS:+--array="$SEEDS"} "$PWD/experiments/launch/slurm.sh" "$@"
fi

job=$SLURM_JOB_ID
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
  job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID # the bare number could mean the whole array
  WORKDIR=$WORKDIR-seeds/$SLURM_ARRAY_TASK_ID
  set -- "$@" "--config.seeds=($SLURM_ARRAY_TASK_ID,)"
fi
code=0
# SLURM 22.05 and later do not hand --cpus-per-task on to srun.
srun --cpus-per-task=$((CPUS / tasks)) --kill-on-bad-exit=1 \
  "$PYTHON" -m lpjax.main --config="$CONFIG" --workdir="$WORKDIR" "$@" || code=$?

# At the time limit nobody else puts the job back into the queue. A job that is no longer RUNNING was pre-empted, and
# --requeue sees to it, or cancelled, and shall stay so.
if ((code == SAVED)) && [[ $(squeue --noheader --jobs="$job" --format=%T) == RUNNING ]]; then
  scontrol requeue "$job"
fi
exit "$code"
