#!/usr/bin/env bash
# make_wheels.sh TOOLS [PYTHON…]: an sdist and, of it, a wheel for each PYTHON, into dist/; each wheel passes check_wheel.py or none is left.
# Without a PYTHON: for each that is found, on the PATH or where pyenv puts them.
# TOOLS: a Python that has requirements/wheel.txt. The tag of a wheel is the oldest that auditwheel finds true of what this system's compiler made.
set -euo pipefail
tools=$(realpath -s "$1")
shift
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
  declare -A found
  for python in python3 python3.{10..14}{,t} ~/.pyenv/versions/3.1[0-4].*/bin/python; do
    abi=$("$python" -c 'import sys, sysconfig; print(sys.version_info >= (3, 10) and sysconfig.get_config_var("SOABI") or "")' 2> /dev/null || true)
    if [ -n "$abi" ]; then found[$abi]=${found[$abi]:-$python}; fi
  done
  set -- "${found[@]}"
fi
if [ $# -eq 0 ]; then echo "no Python from 3.10 on: WHEEL_PYTHONS=\"/path/to/python3.12 …\" names some"; exit 1; fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
# What times in the sdist and the wheels are: the commit's.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || date +%s)
export SOURCE_DATE_EPOCH FASTLOAD_JPEG=bundled FASTLOAD_JPEG_SOURCE=$PWD/build/libjpeg-turbo_2.1.5.orig.tar.gz PIP_DISABLE_PIP_VERSION_CHECK=1

"$tools" -m build --sdist --no-isolation --outdir "$made/sdist" . > "$made/log" 2>&1 || { cat "$made/log"; exit 1; }
for named in "$@"; do
  python=$("$named" -c 'import sys; print(sys.executable)')
  echo "== building a wheel for $("$python" -c 'import sys; print(sys.implementation.name, *sys.version.split()[:1])')"
  "$tools" -m pip --python "$python" wheel -q --no-deps --build-constraint requirements/build.txt -w "$made/wheels" "$made"/sdist/*.tar.gz
done
for wheel in "$made"/wheels/*.whl; do
  PATH=$(dirname "$tools"):$PATH auditwheel repair --strip -w "$made/repaired" "$wheel" > "$made/log" 2>&1 || { cat "$made/log"; exit 1; }
done
# Those of a build before are gone, too, where these are not let through.
rm -f dist/fastload_torch-*
"$tools" packaging/check_wheel.py "$made"/repaired/*.whl
mkdir -p dist
mv "$made"/sdist/*.tar.gz "$made"/repaired/*.whl dist/
