#!/usr/bin/env bash
# build_wheel.sh FOLDER: the wheel of the source in the current folder, with libjpeg-turbo in it, for the Python that the image has.
set -euo pipefail
python=$(command -v python || command -v python3)
export DEBIAN_FRONTEND=noninteractive FASTLOAD_JPEG=bundled
bash packaging/system.sh "$python"
"$python" -m pip wheel --disable-pip-version-check --no-deps --wheel-dir "$1" .
ls -l "$1"
