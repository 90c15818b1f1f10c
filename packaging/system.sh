#!/usr/bin/env bash
# system.sh PYTHON: installs, through apt-get, what the build needs and this system lacks.
set -euo pipefail
python=$1
missing=()

compiles() { echo "$1" | c++ -x c++ -fsyntax-only - 2>/dev/null; }

if ! command -v c++ > /dev/null; then missing+=(g++); fi
if ! compiles $'#include <cstdio>\n#include <jpeglib.h>\nint main() { return JCS_EXT_RGBX; }'; then
  if [ "$(. /etc/os-release && echo "$ID")" = ubuntu ]; then missing+=(libjpeg-turbo8-dev); else missing+=(libjpeg62-turbo-dev); fi
fi
# Assembles the SIMD code of the libjpeg-turbo that the core carries.
if [ "$(uname -m)" = x86_64 ] && ! command -v nasm > /dev/null; then missing+=(nasm); fi
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
if ! "$python" -m venv "$probe/venv" > /dev/null 2>&1; then
  missing+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
fi
if ! compiles "#include <$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h>"; then
  missing+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev")
fi

if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
echo "== installing from the system's packages: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y "${missing[@]}" > /dev/null
