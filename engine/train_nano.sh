#!/usr/bin/env bash
# Train nano's adapters: one command, from a base and a corpus that travelled to a folder that
# `dgedit --adapter` opens.
#
#   bash engine/train_nano.sh                                     on a CUDA device
#   DEVICE=cpu MINUTES=1 CANVAS_MINUTES=1 … bash engine/train_nano.sh    the same, anywhere
#
# Joins the base from the parts in PACKED (`python -m dgedit_engine.train.travel`), or takes BASE;
# unpacks the corpus there (`python -m dgedit_engine.train.pack`) and joins it with the Python
# packages installed here (what is held out by its hash stays so). Trains the causal reading for
# MINUTES, and then, behind it, the canvas for CANVAS_MINUTES; 0 leaves either out. Files in
# PACKED/without are benchmarks: what shares ten words with them is not taken from here. An adapter
# in PACKED/encode is where the causal reading starts from.
#
# The training runs in a session of its own under WORK. This command follows its log and copies what
# there is to SHIP: at the end, or after FOLLOW seconds. Called again, it follows the same training:
# so the training outlives a shell whose commands must end early. SHIP is at most six files under
# 16 MiB: both adapters, and run.tar with everything small.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKED=${PACKED:-scratch/packed}
BASE=${BASE-}            # a base that is here already
WORK=${WORK:-scratch/nano}
SHIP=${SHIP:-$WORK/ship}
DEVICE=${DEVICE:-cuda}
MINUTES=${MINUTES:-8}
CANVAS_MINUTES=${CANVAS_MINUTES:-5}
FOLLOW=${FOLLOW:-86400}
PYTHON=${PYTHON:-python3}
EXTEND=${EXTEND:-1}      # 0: without the packages installed here
SPEED=${SPEED---compile --workers 14}
RECIPE=${RECIPE---rank 16 --projections all --lr 3e-4 --rows 512 --micro 128 --limit 512}
CANVAS=${CANVAS---rank 16 --projections all --lr 3e-4 --rows 128 --micro 32 --limit 448 --slots 32,64 --kl 1}

export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$(realpath -m "$WORK")/compiled}
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
export PYTHONPATH=.:engine:kernels PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=true
export PACKED BASE WORK SHIP DEVICE MINUTES CANVAS_MINUTES PYTHON EXTEND SPEED RECIPE CANVAS
ENCODE=$WORK/encode RUN=$WORK/run LOG=$WORK/train.log

prepare() { # WORK/base.gguf and WORK/corpus
    local more=() without=()
    if [ -z "$BASE" ] && [ ! -f "$WORK/base.gguf" ]; then
        "$PYTHON" -m dgedit_engine.train.travel --join "$PACKED" --out "$WORK/base.gguf"
    fi
    if [ -f "$WORK/corpus/train.txt" ]; then return; fi
    if [ -d "$PACKED/without" ]; then without=(--without "$PACKED"/without/*); fi
    if [ "$EXTEND" = 1 ]; then
        "$PYTHON" -m dgedit_engine.train.corpus --out "$WORK/here" "${without[@]}"
        more=(--with "$WORK/here")
    fi
    "$PYTHON" -m dgedit_engine.train.pack --unpack "$PACKED" --out "$WORK/corpus" "${more[@]}"
}

train() { # module minutes out options: from the start, or on where it stopped
    local module=$1 minutes=$2 out=$3 options=$4
    if [ "$minutes" = 0 ]; then return; fi
    if [ -f "$out/state.pt" ]; then options="$options --resume"; fi
    # shellcheck disable=SC2086  # lists of options
    "$PYTHON" -m "dgedit_engine.train.$module" --base "${BASE:-$WORK/base.gguf}" \
        --corpus "$WORK/corpus" --out "$out" --minutes "$minutes" --device "$DEVICE" $SPEED $options
}

if [ "${1-}" = work ]; then # in its own session
    prepare
    start='' read=''
    if [ -d "$PACKED/encode" ] && [ ! -f "$ENCODE/state.pt" ]; then start="--from $PACKED/encode"; fi
    train lora "$MINUTES" "$ENCODE" "$RECIPE $start"
    if [ -d "$ENCODE" ]; then read="--encode $ENCODE"; fi
    train canvas "$CANVAS_MINUTES" "$RUN" "$CANVAS $read"
    exit
fi

ship() { # what there is so far
    mkdir -p "$SHIP"
    local found=() folder file
    for folder in "$ENCODE" "$RUN/denoise"; do
        if ! [ -f "$folder/adapter_model.safetensors" ]; then continue; fi
        mkdir -p "$SHIP/${folder##*/}"
        for file in adapter_config.json adapter_model.safetensors conditioning.safetensors; do
            if [ -f "$folder/$file" ]; then cp "$folder/$file" "$SHIP/${folder##*/}/"; fi
        done
    done
    for file in "$ENCODE/log.jsonl" "$RUN/log.jsonl" "$LOG"; do
        if [ -f "$file" ]; then found+=("$file"); fi
    done
    tar -Pcf "$SHIP/run.tar" --transform 's,.*/encode/,encode-,;s,.*/,,' "${found[@]}"
}

mkdir -p "$WORK"
if [ ! -e "$WORK/pid" ]; then
    [ -d "$PACKED" ] || { echo "no packed corpus: $PACKED does not exist" >&2; exit 2; }
    : >"$LOG"
    # shellcheck disable=SC2016
    setsid bash -c 'bash engine/train_nano.sh work; echo $? >"$WORK/code"' >"$LOG" 2>&1 </dev/null &
    echo $! >"$WORK/pid"
fi
shown=0
until=$((SECONDS + FOLLOW))
while :; do
    ended='' # asked before the log is read, so that all of it is shown
    if [ -e "$WORK/code" ] || ! kill -0 "$(cat "$WORK/pid")" 2>/dev/null; then ended=yes; fi
    lines=$(wc -l <"$LOG")
    if [ "$lines" -gt "$shown" ]; then
        sed -n "$((shown + 1)),${lines}p" "$LOG"
        shown=$lines
    fi
    if [ "$ended" ] || [ $SECONDS -ge $until ]; then break; fi
    sleep 1
done
ship
ls -lR "$SHIP"
if [ "$ended" ]; then exit "$(cat "$WORK/code" 2>/dev/null || echo 1)"; fi
echo "still training: the same command follows it"
