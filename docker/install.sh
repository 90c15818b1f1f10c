#!/usr/bin/env bash
# install.sh FOLDER: the wheel in it, and what it needs and the image lacks. The image's torch, torchvision, Pillow and NumPy stay what
# they are: where fastload cannot do with them, this fails.
set -euo pipefail
python=$(command -v python || command -v python3)
# A Debian Python refuses packages of others; here it is the image's own, which nobody else manages.
export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
kept=$(mktemp)
trap 'rm -f "$kept"' EXIT
"$python" -m pip list --format freeze | { grep -iE '^(torch|torchvision|pillow|numpy)==' || true; } > "$kept"
"$python" -m pip install --no-cache-dir --constraint "$kept" "$1"/*.whl
cd /
"$python" -m fastload --version
