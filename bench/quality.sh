#!/usr/bin/env bash
# What each setting costs and keeps, on SmolLM2-135M: calibrated on the Old Testament, compared with the
# original on the New. Appends one JSON line per setting to a file and prints the file as a table. Settings
# that the file has already, under the same conditions, are not measured again.
#
#   CALDERA_SETTINGS="NAME..."   only these of the list below
#   CALDERA_SAMPLES=64           calibration windows
#   CALDERA_SEQ_LEN=512          tokens of each
#   CALDERA_EVAL_TOKENS=32768    tokens of the comparison, in sequences of 512
#   CALDERA_QUALITY=FILE         where the lines go (quality.jsonl in the cache)
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/setup.sh

# NAME FLAGS-OF-COMPRESS
settings=(
  # One idea at a time, at about 2.5 bits per weight. The published recipe runs 5 of its 15 iterations: on a synthetic
  # 576 x 1536 matrix the best was the fourth.
  'published-2.5        --recipe published --q-bits 2 --rank 48 --iterations 5'
  'e8p-r40              --q-bits 2 --rank 40 --codebook e8p'
  'trellis-r40          --q-bits 2 --rank 40'
  'columns-2.5          --q-bits 2.48 --rank 0'
  'target-2.5           --target-bits 2.5'
  # The other sizes.
  'published-2.25       --recipe published --q-bits 2 --rank 24 --iterations 5'
  'target-2.25          --target-bits 2.25'
  'published-3          --recipe published --q-bits 2 --rank 88 --iterations 5'
  'target-3             --target-bits 3'
  # What the quickstart runs, codes without factors, and fine ones.
  '2bit-r64             --q-bits 2 --rank 64'
  '2bit-e8p             --q-bits 2 --rank 0 --codebook e8p'
  '2bit-trellis-10      --q-bits 2 --rank 0'
  '4bit-e8p             --q-bits 4 --rank 0 --codebook e8p'
  '4bit-trellis-10      --q-bits 4 --rank 0'
  '4bit-trellis-12      --q-bits 4 --rank 0 --codebook trellis-12'
)

samples=${CALDERA_SAMPLES:-64}
seq_len=${CALDERA_SEQ_LEN:-512}
tokens=${CALDERA_EVAL_TOKENS:-32768}
file=${CALDERA_QUALITY:-$caldera_cache/quality.jsonl}
export OMP_WAIT_POLICY=passive

for wanted in ${CALDERA_SETTINGS:-}; do
  printf '%s\n' "${settings[@]}" | grep -q "^$wanted " || {
    echo "bench/quality.sh: no setting $wanted" >&2
    exit 2
  }
done

caldera_install deploy/packages.txt
caldera_build release caldera caldera-coordinator caldera-worker
caldera=$PWD/build/release/bin/caldera
model=$(caldera_model)
calibration=$(caldera_text old-testament Gen1:1-Mal4:6)
evaluation=$(caldera_text new-testament Mat1:1-Rev22:21)
work=$(mktemp -d "$caldera_cache/quality.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Of the tree just built; `caldera version` tells that of the last configuration.
git describe --always --dirty --abbrev=12 --exclude '*' >"$work/commit" 2>/dev/null || echo unknown >"$work/commit"

# measure FLAGS...: leaves time, inspect.json and eval.json in $work.
measure() {
  local TIMEFORMAT='%R %U %S'
  { time "$caldera" compress "$model" "$work/out" --calibration "$calibration" --samples "$samples" \
    --seq-len "$seq_len" "$@" -o json >"$work/compress.json" 2>&3; } 3>&2 2>"$work/time"
  "$caldera" inspect "$work/out" -o json >"$work/inspect.json"
  "$caldera" eval "$work/out" --reference "$model" --text "$evaluation" --seq-len 512 \
    --max-tokens "$tokens" -o json >"$work/eval.json"
  rm -rf "$work/out"
}

for setting in "${settings[@]}"; do
  read -r name flags <<<"$setting"
  [[ " ${CALDERA_SETTINGS:-$name} " = *" $name "* ]] || continue
  conditions="{\"name\": \"$name\", \"flags\": \"$flags\", \"samples\": $samples,
    \"seq_len\": $seq_len, \"eval_tokens\": $tokens}"
  python3 bench/quality.py has "$file" "$conditions" && continue
  echo "== $name: $flags" >&2
  # shellcheck disable=SC2086  # several words
  measure $flags
  python3 bench/quality.py add "$file" "$conditions" "$work"
done
python3 bench/quality.py table "$file"
