#!/usr/bin/env bash
# Compiles the core for 64-bit Arm: no x86 code may leak out of the files that are meant for it.
set -euo pipefail
cxx=aarch64-linux-gnu-g++
if ! command -v $cxx > /dev/null; then
  echo "== installing the Arm cross compiler"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y g++-aarch64-linux-gnu > /dev/null
fi
# libjpeg's headers are the host's, in a folder of their own so that the host's C library stays out.
headers=$(mktemp -d)
trap 'rm -rf "$headers"' EXIT
for name in jpeglib.h jmorecfg.h jerror.h jconfig.h; do
  found=$(find /usr/include -name "$name" -print -quit)
  cp "$found" "$headers/"
done
for source in csrc/*/*.cpp; do
  $cxx -std=c++17 -O2 -ffp-contract=off -Wall -Wextra -Werror -Icsrc -I"$headers" -c "$source" -o /dev/null
done
echo "== the core compiles for $($cxx -dumpmachine)"
