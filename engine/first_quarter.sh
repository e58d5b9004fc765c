#!/usr/bin/env bash
# The first quarter of an hour on a GPU: two commands, within 560 and 240 seconds.
#
#   bash engine/first_quarter.sh 1     tests in PROCESSES processes, the bench and whole fills, in e2m1
#   bash engine/first_quarter.sh 2     the bench in bf16, e4m3 and int4
#
# Every part has a clock of its own: one that fails or hangs takes nothing from the next. What each
# said is in OUT, whole, and its end on the screen; the last lines say how each part ended. Kernels
# that are compiled stay in TRITON_CACHE_DIR, for the second command too. transformers is hidden:
# its model of 50 GB takes longer to make than all of this. SKIP leaves parts out, by name:
#
#   SKIP="tests bench" bash engine/first_quarter.sh 1
#
#   DEVICE=cpu SHAPE=small MINUTES=0.05 bash engine/first_quarter.sh 1     anywhere, small
set -uo pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-scratch/first-quarter}
DEVICE=${DEVICE:-cuda}
SHAPE=${SHAPE:-26b}
MINUTES=${MINUTES:-}
PROCESSES=${PROCESSES:-6}
PYTHON=${PYTHON:-python3}
SKIP=${SKIP:-}
HIDDEN=scratch/hidden

export TRITON_CACHE_DIR=${TRITON_CACHE_DIR:-$PWD/scratch/triton}
export PYTHONPATH=$HIDDEN:.:engine:kernels PYTHONUNBUFFERED=1
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
mkdir -p "$OUT" "$HIDDEN" "$TRITON_CACHE_DIR"
echo 'raise ModuleNotFoundError("hidden", name="transformers")' >"$HIDDEN/transformers.py"
ended=()

part() { # name seconds command…: run it on a clock, and note how it ended
    local name=$1 seconds=$2 code=0 began=$SECONDS
    shift 2
    case " $SKIP " in *" $name "*)
        ended+=("$name: left out")
        return
        ;;
    esac
    timeout -k 5 "$seconds" "$@" >"$OUT/$name.txt" 2>&1 || code=$?
    tail -n 40 "$OUT/$name.txt" | cut -c 1-400
    ended+=("$name: code $code after $((SECONDS - began)) of $seconds s")
}

tests() { # in shares of files, since there may be no plugin that does it
    grep -rl "mark\.gpu" tests/kernels tests/engine --include="test_*.py" | sort |
        xargs -P "$PROCESSES" -n 3 "$PYTHON" -m pytest -q -m gpu -p no:cacheprovider --tb=short
}
export -f tests
export PROCESSES PYTHON

bench() { # name seconds minutes options…
    local name=$1 seconds=$2 minutes=${MINUTES:-$3}
    shift 3
    part "$name" "$seconds" "$PYTHON" -m dgedit_engine.bench --shape "$SHAPE" --device "$DEVICE" \
        --no-reference --minutes "$minutes" "$@"
}

case ${1-} in
1)
    part tests 170 bash -c tests
    bench bench 150 1.2 --quant e2m1
    bench end-to-end 150 1.5 --quant e2m1 --end-to-end
    ;;
2)
    for quant in bf16 e4m3 int4; do bench "bench-$quant" 75 0.5 --quant "$quant"; done
    ;;
*)
    echo "first_quarter.sh: say 1 or 2" >&2
    exit 2
    ;;
esac
printf '%s\n' "${ended[@]}" | tee "$OUT/ended-$1.txt"
