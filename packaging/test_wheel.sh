#!/usr/bin/env bash
# test_wheel.sh VENV TEST…: tests that wheel of dist/ which pip takes for VENV's Python, installed into a fresh environment, which borrows all
# other packages of VENV. In a mount namespace of its own the source tree, the compilers' own folders and all headers are gone, and no
# compiler, CMake, ninja or assembler is on the PATH.
set -euo pipefail
venv=$(realpath "$1") root=$(realpath "$(dirname "$0")/..")
shift
cd "$root"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$venv/bin/python" -m venv --without-pip "$place/env"
"$venv/bin/python" -m pip --python "$place/env/bin/python" install -q --disable-pip-version-check --no-deps --no-index --find-links dist fastload-torch
packages=$("$place/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Packages that are borrowed by their path are found; what is installed beside them with a .pth file, as an editable fastload is, is not.
echo "$place/borrowed/${packages#"$place/env/"}" > "$packages/borrowed.pth"
mkdir "$place/borrowed" "$place/tools"
cp -r tests pyproject.toml "$place"
c++ -std=c++17 -O1 tests/jpeg_writer.cpp -ljpeg -o "$place/tests/jpeg_writer"
for program in /usr/bin/* /bin/*; do
  case ${program##*/} in
    *gcc* | *g++* | *clang* | *cpp* | c++* | c[89]9* | cc | tcc | as | ld | ld.* | gold | *-as | *-ld* | cmake* | ninja | make | nasm | yasm | gmake) ;;
    *) ln -sf "$program" "$place/tools/" ;;
  esac
done

photos=${FASTLOAD_PHOTOS:-$root/../shared/data/photos}
if [ -d "$photos" ]; then FASTLOAD_PHOTOS=$(realpath "$photos") && export FASTLOAD_PHOTOS; fi
export place root venv
as_root=(--map-root-user)
if [ "$(id -u)" -eq 0 ]; then as_root=(); fi
unshare "${as_root[@]}" --mount --propagation private bash -euo pipefail -c '
  mount --bind "$venv" "$place/borrowed"
  for gone in "$root" /usr/include /usr/local/include /usr/lib/gcc; do
    if [ -d "$gone" ]; then mount -t tmpfs none "$gone"; fi
  done
  cd "$place"
  export PATH=$place/env/bin:$place/tools
  unset PYTHONPATH CC CXX
  for program in cc c++ gcc g++ cpp clang as ld cmake ninja make nasm; do
    if command -v "$program"; then echo "$program is still there"; exit 1; fi
  done
  if [ -e /usr/include/jpeglib.h ] || [ -e "$root/fastload" ]; then echo "headers or the source tree are still there"; exit 1; fi
  python -c "
import importlib.metadata as metadata, fastload._core as core, sys, torch, torchvision, PIL
assert core.__file__.startswith(sys.prefix), core.__file__
print(\"== testing fastload\", metadata.version(\"fastload-torch\"), \"from its wheel, with torch\", torch.__version__, \"torchvision\", torchvision.__version__, \"Pillow\", PIL.__version__)"
  exec python -m pytest -q -p no:cacheprovider -c pyproject.toml --rootdir . "$@"
' test_wheel "$@"
