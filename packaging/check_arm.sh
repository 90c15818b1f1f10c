#!/usr/bin/env bash
# check_arm.sh PYTHON: the core for 64-bit Arm: compiled, its C++ tests run in an emulator of that processor, and what it makes of images
# compared, byte for byte, with what the core makes of them here. PYTHON has Pillow, CMake and ninja.
set -euo pipefail
python=$1
cd "$(dirname "$0")/.."
missing=()
command -v aarch64-linux-gnu-g++ > /dev/null || missing+=(g++-aarch64-linux-gnu)
command -v qemu-aarch64-static > /dev/null || missing+=(qemu-user-static)
if [ ${#missing[@]} -gt 0 ]; then
  echo "== installing ${missing[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq -y "${missing[@]}" > /dev/null
fi
place=$PWD/build/arm
mkdir -p "$place"
rm -rf "$place/images"
"$python" tests/images.py "$place/images"
options=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DFASTLOAD_PYTHON=OFF -DFASTLOAD_CPP_TESTS=ON -DFASTLOAD_WERROR=ON -DFASTLOAD_JPEG=bundled
  "-DFASTLOAD_TEST_IMAGES=$place/images")
quietly() { "$@" > "$place/log" 2>&1 || { cat "$place/log"; exit 1; }; }
quietly cmake -S . -B "$place/aarch64" -DCMAKE_TOOLCHAIN_FILE="$PWD/packaging/aarch64.cmake" "${options[@]}"
quietly cmake --build "$place/aarch64"
quietly cmake -S . -B "$place/here" "${options[@]}"
quietly cmake --build "$place/here" --target digest
echo "== the core is compiled for $(aarch64-linux-gnu-g++ -dumpmachine); its tests"
ctest --test-dir "$place/aarch64" --output-on-failure --timeout 900
emulated=(qemu-aarch64-static -L /usr/aarch64-linux-gnu)
mapfile -t images < <(find "$place/images" -name '*.jpg' | sort)
"$place/here/digest" "${images[@]}" > "$place/here.txt"
"${emulated[@]}" "$place/aarch64/digest" "${images[@]}" > "$place/aarch64.txt"
diff "$place/here.txt" "$place/aarch64.txt" > "$place/diff" || { head -20 "$place/diff"; echo "they differ"; exit 1; }
echo "== $(wc -l < "$place/here.txt") tensors of ${#images[@]} images are the same, $(grep -c ' error ' "$place/here.txt") of them errors"
