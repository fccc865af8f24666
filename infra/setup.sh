#!/bin/sh
# Creates the virtual environment and installs the locked requirements and this package into it.
# Usage: setup.sh FOLDER, with PYTHON naming an interpreter to prefer.
set -eu

venv=$1
root=$(cd "$(dirname "$0")/.." && pwd)

fits() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# 3.11 and 3.12 first: for newer ones not every server comes as a wheel.
find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3 python3.13 python3.14 python}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no Python")
    echo "marketstream needs Python 3.11 or newer, and $found is on PATH: install one, or say make PYTHON=/path/to/python3.11" >&2
    exit 1
}

if ! { [ -x "$venv/bin/python" ] && fits "$venv/bin/python"; }; then
    python=$(find_python)
    echo "creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || {
        echo "$python can't create environments (on Debian: apt install python3-venv)" >&2
        exit 1
    }
fi

echo "installing the locked requirements (the first time about 1 GB is downloaded)"
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
if $pip install uv 2>/dev/null && "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes \
    --requirement "$root/requirements.lock"; then
    :
else # uv has no build for this machine, or can't reach what pip is set up to reach
    $pip install --require-hashes --requirement "$root/requirements.lock"
fi
$pip install --no-deps --editable "$root"
echo "ready: $venv"
