#!/usr/bin/env bash
# From a bare Debian 12 to a compressed model: installs, builds, fetches SmolLM2-135M, compresses it with
# a local cluster and prints the result. Safe to repeat; set CALDERA_OUT to keep the checkpoint elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/setup.sh

caldera_install deploy/packages.txt
caldera_build release caldera caldera-coordinator caldera-worker
caldera=$PWD/build/release/bin/caldera
model=$(caldera_model)
calibration=$(caldera_text old-testament Gen1:1-Mal4:6)
evaluation=$(caldera_text new-testament Mat1:1-Rev22:21)
out=${CALDERA_OUT:-$caldera_cache/SmolLM2-135M-2bit-r64}
tokens=${CALDERA_EVAL_TOKENS:-32768}
export OMP_WAIT_POLICY=passive

if "$caldera" verify "$out" >/dev/null 2>&1 && [ -s "$out.result.json" ]; then
  echo "== $out is there already (remove it to compress again)" >&2
else
  echo "== compressing (2-bit Q, rank 64, 4-bit factors, 64 x 512 calibration tokens)" >&2
  rm -rf "$out"
  "$caldera" compress "$model" "$out" --calibration "$calibration" --samples 64 --seq-len 512 \
    --q-bits 2 --rank 64 --factor-bits 4 -o json >"$out.result.json.new"
  mv "$out.result.json.new" "$out.result.json"
fi
# evaluate NAME MODEL: once per model, kept beside the checkpoint.
evaluate() {
  [ -s "$out.$1.json" ] && [ "$out.$1.json" -nt "$out/manifest.json" ] && return 0
  echo "== perplexity of the $1 model ($tokens tokens)" >&2
  "$caldera" eval "$2" --text "$evaluation" --seq-len 512 --max-tokens "$tokens" -o json \
    >"$out.$1.json.new"
  mv "$out.$1.json.new" "$out.$1.json"
}
evaluate original "$model"
evaluate compressed "$out"
python3 deploy/print_result.py "$out"
