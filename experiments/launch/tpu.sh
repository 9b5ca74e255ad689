#!/usr/bin/env bash
# One run on a TPU VM slice, on all of its workers.
#
#   NAME=tickets ZONE=us-central2-b WORKDIR=/mnt/lpjax/imagenet \
#     experiments/launch/tpu.sh COMMAND [--config.field=value ...]
#
#   create   queue a request for the slice, a spot one unless SPOT=
#   setup    mount NFS, and install this working copy's last commit, on every worker
#   run      run on every worker; the same command resumes
#   keep     create, setup and run, again and again after pre-emptions, until the run is done
#   stop     end the run; it saves first
#   fetch    copy report, results and config of the run into DEST
#   delete   give the slice back
#
# Start `run` and `keep` inside tmux: they last as long as the run. Variables and their defaults:
set -euo pipefail

: "${NAME:=lpjax}"                       # of the slice and of its queued request
: "${ZONE:=us-central2-b}"               # the project is gcloud's own setting
: "${TYPE:=v4-32}"                       # 16 chips, 4 workers
: "${RUNTIME:=tpu-ubuntu2204-base}"
: "${SPOT=--spot}"                       # empty: never pre-empted, and dearer
: "${NFS:=}"                             # HOST:/SHARE, to be mounted; empty: all workers see WORKDIR already
: "${MOUNT:=/mnt/lpjax}"
: "${CONFIG:=configs/imagenet_resnet18.py}"
: "${WORKDIR:=$MOUNT/imagenet_resnet18}" # one folder for all workers
: "${DEST:=runs/$(basename "$WORKDIR")}" # on this machine
: "${WAIT:=60}"                          # seconds between two looks at the queue

PREEMPTED=143 NO_CONNECTION=255

tpus() { gcloud compute tpus "$@" --zone="$ZONE"; }
everywhere() { tpus tpu-vm ssh "$NAME" --worker=all --command="$1"; }
state() { tpus queued-resources describe "$NAME" --format='value(state.state)' 2>/dev/null || echo NONE; }
delete() { tpus queued-resources delete "$NAME" --force --quiet; }

create() {
  tpus queued-resources create "$NAME" --node-id="$NAME" --accelerator-type="$TYPE" --runtime-version="$RUNTIME" \
    ${SPOT:+"$SPOT"}
}

setup() {
  local archive
  archive=$(mktemp --suffix=.tar.gz)
  git archive --format=tar.gz --output="$archive" HEAD
  tpus tpu-vm scp "$archive" "$NAME:lpjax.tar.gz" --worker=all
  rm "$archive"
  # The image's own Python may be older than 3.11: uv brings one.
  everywhere "set -e
    mkdir -p lpjax && tar -xzf lpjax.tar.gz -C lpjax
    python3 -m pip install --quiet --user uv
    ~/.local/bin/uv venv --quiet --allow-existing --python 3.12 lpjax/.venv
    ~/.local/bin/uv pip install --quiet --python lpjax/.venv/bin/python './lpjax[tpu]'"
  if [[ -n $NFS ]]; then
    everywhere "set -e
      sudo apt-get install --yes --quiet nfs-common && sudo mkdir -p $MOUNT
      mountpoint -q $MOUNT || sudo mount -t nfs $NFS $MOUNT"
  fi
}

# Every worker runs the same program: JAX finds the others by the slice's own metadata (--config.distributed=auto).
run() {
  local arguments
  printf -v arguments ' %q' --config="$CONFIG" --workdir="$WORKDIR" "$@"
  everywhere "cd lpjax && .venv/bin/python -m lpjax.main$arguments"
}

# Needed where a connection was lost: the work directory is still in use by whoever lives on at its other end.
stop() { everywhere "pkill --signal TERM --full 'python -m lpjax[.]main' || true"; }

# A spot slice that was taken away cannot be started again: its request is SUSPENDED, and a new one takes its place.
# Trouble on the way (the network, the slice gone in the middle of a set-up) is printed and tried again.
keep() {
  local code ready=""
  while true; do
    case $(state) in
      NONE) ready="" && { create || true; } ;;
      SUSPENDED | FAILED) delete || true ;;
      ACTIVE)
        if [[ $ready ]] || "$SELF" setup; then
          ready=yes code=0
          run "$@" || code=$?
          if ((code == NO_CONNECTION)); then stop || true; fi
          # Whatever else ended it on a slice that is still there (0: it is done, 2: a mistake) would end it again.
          ((code == PREEMPTED || code == NO_CONNECTION)) || [[ $(state) != ACTIVE ]] || return "$code"
        fi
        ;;
    esac
    sleep "$WAIT"
  done
}

fetch() {
  mkdir -p "$DEST"
  tpus tpu-vm scp --recurse "$NAME:$WORKDIR/report" "$NAME:$WORKDIR/results.csv" "$NAME:$WORKDIR/config.json" \
    "$DEST" --worker=0
}

SELF=$(readlink -f "${BASH_SOURCE[0]}")
cd "$(dirname "$SELF")/../.."
case ${1:---help} in
  create | setup | run | keep | stop | fetch | delete) "$@" ;;
  -h | --help) awk 'NR > 1 && !/^set / { if (!NF && blank++) exit; sub(/^# ?/, ""); print }' "$SELF" ;;
  *) echo "tpu.sh: unknown command '$1'; see --help" >&2 && exit 2 ;;
esac
