#!/bin/bash
# device.sh PHOTOS OUT SECONDS [gpu] [tune]: on a bare machine with many idle cores: builds the core where it is missing, then the
# scenarios, two cores each, side by side, and what came of their predictions. gpu: beside them, on the first eight cores, the trainings
# on the GPU; tune: first what fastload tune finds, three times, beside the best of a sweep.
set -u
cd "$(dirname "$0")/../.."
photos=$1 out=$2 seconds=$3; shift 3
export PYTHONUNBUFFERED=1 PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
began=$(date +%s)
left() { echo $((seconds - $(date +%s) + began)); }
python=$(command -v python3)
mkdir -p "$out" build

if ! $python -c "import fastload" 2>> "$out/build.log"; then
  { cmake -S . -B build/device -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$python" \
      -Dpybind11_DIR="$($python -m pybind11 --cmakedir)" -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$PWD/fastload" &&
    cmake --build build/device --target _core -j "$(nproc)"; } >> "$out/build.log" 2>&1 || { tail -20 "$out/build.log"; exit 1; }
fi
echo "== the core is there after $(($(date +%s) - began)) s: $($python -c 'import fastload, torch; print(torch.__version__, fastload.__version__)')"

first=0
if [[ " $* " == *" gpu "* ]]; then
  first=4
  timeout "$(left)" taskset -c 0-7 $python -m benchmarks.diagnosis.on_gpu --photos "$photos" --out "$out/gpu" \
    --experiments "${EXPERIMENTS:-20}" --seconds 10 > "$out/gpu.log" 2>&1 &
fi
if [[ " $* " == *" tune "* ]]; then
  timeout "$(left)" taskset -c $((2 * first)),$((2 * first + 1)) $python -m benchmarks.diagnosis.tuning --data "$photos" \
    --out "$out/tuning" --seconds "$(left)" > "$out/tuning.log" 2>&1 &
  first=$((first + 1))
fi

lanes=$(($(nproc) / 2 - first))
for ((lane = 0; lane < lanes; lane++)); do
  (
    cores=$((2 * (first + lane)))
    run() { taskset -c $cores,$((cores + 1)) $python -m "$@" --part "$lane/$lanes" --data "build/scenarios-$lane" \
      --out "$out/scenarios" --experiments "${EXPERIMENTS:-20}" --seconds "$(left)"; }
    run benchmarks.diagnosis.applied > "$out/lane-$lane.log" 2>&1  # profiles what is not profiled yet
  ) &
done
wait
[ -f "$out/gpu.log" ] && { echo "== GPU"; cat "$out/gpu.log"; }
[ -f "$out/tuning.log" ] && { echo "== tuning"; grep -v '^sweep' "$out/tuning.log"; }
echo "== scenarios"
$python -m benchmarks.diagnosis --out "$out/scenarios" --table
echo "== predictions"
$python -m benchmarks.diagnosis.applied --out "$out/scenarios" --table
echo "== $(($(date +%s) - began)) s"
