#!/bin/sh
# Make .venv ready: `.ci/setup.sh runtime` for the demo, `.ci/setup.sh dev` for tests and tools.
# Read: PYTHON, TORCH_SPEC, TORCH_INDEX_URL, MIN_DISK_MB (README, "Choosing Python and torch").
# A stamp of everything that decides the result makes the next call return at once.
set -eu
cd "$(dirname "$0")/.."

mode=${1:-runtime}
venv=.venv
case $mode in
    runtime) extras= ; need_mb=${MIN_DISK_MB:-3000} ;;
    dev) extras='[dev,hf,concepts,images]' ; need_mb=${MIN_DISK_MB:-4000} ;;
    *) echo "usage: .ci/setup.sh runtime|dev" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*"; }
fail() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

fingerprint() {
    { cat constraints.txt setup.py .ci/setup.sh
      say "${PYTHON:-} ${TORCH_SPEC:-} ${TORCH_INDEX_URL:-} $PWD"; } | cksum
}
ready() {
    for stamp in "$venv/stamp-$mode" "$venv/stamp-dev"; do
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null \
            && return 0
    done
    return 1
}
suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

wanted=$(fingerprint)
ready && exit 0

# --- Python -------------------------------------------------------------------------------------
python=
if [ -n "${PYTHON:-}" ]; then
    suitable "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.11, 3.12 or 3.13" \
        "($("$PYTHON" --version 2>&1 | head -n 1 || true)). Set PYTHON to one that is, or leave it out."
    python=$PYTHON
else
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 && suitable "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo 'no python3')
    fail "Python 3.11, 3.12 or 3.13 is needed; found $found. Install one (Debian, Ubuntu:" \
        "apt-get install python3 python3-venv; macOS: brew install python@3.12), or name one:" \
        "make PYTHON=/path/to/python3.12"
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$("$python" --version) has no venv module." \
    "Install it (Debian, Ubuntu: apt-get install python3-venv), or name another: make PYTHON=..."
if [ "$(uname -s) $(uname -m)" = 'Darwin x86_64' ] && [ -z "${TORCH_SPEC:-}" ]; then
    fail "PyTorch has no builds for Intel Macs any more. Apple silicon or Linux is needed."
fi

# --- disk ---------------------------------------------------------------------------------------
if ! suitable "$venv/bin/python" || [ -n "${PYTHON:-}" ]; then
    rm -rf "$venv"
fi
free_mb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
[ -d "$venv" ] || [ "$free_mb" -ge "$need_mb" ] || fail "the packages need about $need_mb MB on disk;" \
    "$free_mb MB are free here. Free some, or clone to another disk (MIN_DISK_MB=0 skips this check)."

# --- packages -----------------------------------------------------------------------------------
quiet=-q
[ -t 1 ] && quiet=
say "set-up: installing the pinned packages into $venv ($("$python" --version)); some minutes, once"
[ -d "$venv" ] || "$python" -m venv "$venv"
rm -f "$venv"/stamp-*
pins=$venv/constraints.txt
sed "s|^torch==.*|${TORCH_SPEC:-&}|" constraints.txt > "$pins"
pip() {
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install $quiet -c "$pins" \
        ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} "$@"
}
if ! { pip setuptools && pip --no-build-isolation -e ".$extras"; }; then
    fail "pip could not install the packages (its message is above)." \
        "$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }') MB are free on this disk and" \
        "$(df -Pk "${TMPDIR:-/tmp}" | awk 'NR == 2 { print int($4 / 1024) }') MB in ${TMPDIR:-/tmp}." \
        "Run the same command again to go on."
fi
say "$wanted" > "$venv/stamp-$mode"
