#!/usr/bin/env bash
# Train a model of tiny's architecture: one command, from a packed corpus to weights that dgedit
# opens.
#
#   bash engine/train_nano.sh                                     on a CUDA device
#   DEVICE=cpu SIZE=tiny MINUTES=1 … bash engine/train_nano.sh    the same, anywhere
#
# Unpacks PACKED (made by `python -m dgedit_engine.train.pack`), joins it with the Python packages
# installed here (what is held out by its hash stays so), learns the vocabulary unless PACKED has a
# tokenizer.json, trains for MINUTES, and measures the held-out losses. Files in PACKED/without are
# benchmarks: what shares ten words with them is not taken from here.
#
# The training runs in a session of its own under WORK. This command follows its log and copies what
# there is to SHIP: at the end, or after FOLLOW seconds. Called again, it follows the same training:
# so the training outlives a shell whose commands must end early. SHIP is at most eight files under
# 16 MiB: the int8 shards of the last checkpoint, and run.tar with everything small.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKED=${PACKED:-scratch/packed}
WORK=${WORK:-scratch/nano}
SHIP=${SHIP:-$WORK/ship}
DEVICE=${DEVICE:-cuda}
SIZE=${SIZE:-gpu}
MINUTES=${MINUTES:-20}
FOLLOW=${FOLLOW:-86400}
PYTHON=${PYTHON:-python3}
EXTEND=${EXTEND:-1}      # 0: without the packages installed here
VOCABULARY=${VOCABULARY:-8192}
TOKENS=${TOKENS:-65536}  # prompt tokens in a step; halved while they do not fit the device
SHAPES=${SHAPES:-512x64 1024x128 512x32 512x16} # prompt x canvas; each is compiled
SPEED=${SPEED---compile --workers 14}
# beside the defaults; clean and end slots keep their weight: without it the canvas learnt no end
RECIPE=${RECIPE---copies 2 --scattered 0.35 --shifted 0.1}
MORE=${MORE-}            # further options of the trainer, such as --from FOLDER

export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$(realpath -m "$WORK")/compiled}
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
export PYTHONPATH=.:engine:kernels PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=true
export PACKED WORK SHIP DEVICE SIZE MINUTES PYTHON EXTEND VOCABULARY TOKENS SHAPES SPEED RECIPE MORE
RUN=$WORK/run LOG=$WORK/train.log

prepare() { # WORK/corpus and WORK/tokenizer.json
    local more=() without=()
    if [ -d "$PACKED/without" ]; then without=(--without "$PACKED"/without/*); fi
    if [ "$EXTEND" = 1 ]; then
        "$PYTHON" -m dgedit_engine.train.corpus --out "$WORK/here" "${without[@]}"
        more=(--with "$WORK/here")
    fi
    "$PYTHON" -m dgedit_engine.train.pack --unpack "$PACKED" --out "$WORK/corpus" "${more[@]}"
    if [ -f "$PACKED/tokenizer.json" ]; then
        cp "$PACKED/tokenizer.json" "$WORK/tokenizer.json"
    else
        "$PYTHON" -m dgedit_engine.train.vocabulary --corpus "$WORK/corpus" \
            --size "$VOCABULARY" --out "$WORK/tokenizer.json"
    fi
}

train() { # exit code 4: a batch does not fit the device, so half of it is tried
    local tokens=$TOKENS code=4 resume
    while [ $code = 4 ] && [ "$tokens" -ge 256 ]; do
        code=0 resume=''
        if [ -f "$RUN/state.pt" ]; then resume=--resume; fi
        # shellcheck disable=SC2086  # lists of options
        "$PYTHON" -m dgedit_engine.train --corpus "$WORK/corpus" \
            --tokenizer "$WORK/tokenizer.json" --out "$RUN" --minutes "$MINUTES" --size "$SIZE" \
            --device "$DEVICE" --tokens "$tokens" --shape $SHAPES --weights int8 --save-every 3 \
            $SPEED $RECIPE $MORE $resume || code=$?
        tokens=$((tokens / 2))
    done
    return $code
}

if [ "${1-}" = work ]; then # in its own session
    prepare
    train
    "$PYTHON" -m dgedit_engine.train.held_out --corpus "$WORK/corpus" --model "$RUN" \
        --device "$DEVICE" | tee "$WORK/held_out.json"
    exit
fi

ship() { # what there is so far
    mkdir -p "$SHIP"
    rm -f "$SHIP"/model-*.safetensors
    cp "$RUN"/model-*.safetensors "$SHIP"/ 2>/dev/null || echo "no weights yet"
    local small=("$RUN"/*.json "$RUN"/log.jsonl "$LOG" "$WORK"/held_out.json)
    local found=()
    for file in "${small[@]}"; do if [ -f "$file" ]; then found+=("$file"); fi; done
    tar -Pcf "$SHIP/run.tar" --transform 's,.*/,,' "${found[@]}"
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
ls -l "$SHIP"
if [ "$ended" ]; then exit "$(cat "$WORK/code" 2>/dev/null || echo 1)"; fi
echo "still training: the same command follows it"
