#!/usr/bin/env bash
# gate.sh ROUNDS PYTHON -m pytest [ARGUMENT…]: the tests, in another random order each round, as a background job without a terminal and
# with SIGINT ignored, from another folder, with another user's umask, locale, home and temporary files, while BUSY processes (one a
# core) do nothing but work.
set -euo pipefail
rounds=$1 python=$(realpath -s "$2")
shift 2
checkout=$(realpath "$(dirname "$0")/..")
odd=$(mktemp -d -t 'gate ä.XXXX')
trap 'rm -rf "$odd"; kill $(jobs -p) 2>/dev/null || true' EXIT
for _ in $(seq "${BUSY:-$(nproc)}"); do
  while kill -0 $$ 2>/dev/null; do :; done &
done
for round in $(seq "$rounds"); do
  echo "== round $round of $rounds"
  (
    trap '' INT HUP
    umask 077
    cd /
    export PYTHONPATH=$checkout LC_ALL=POSIX HOME=$odd/nowhere TMPDIR=$odd FORCE_COLOR=1 LOCAL_WORLD_SIZE=3
    exec setsid "$python" "$@" -c "$checkout/pyproject.toml" --rootdir "$checkout" --color=no -p randomly -p no:cacheprovider </dev/null
  ) > >(cat) 2>&1 &
  wait $!
done
