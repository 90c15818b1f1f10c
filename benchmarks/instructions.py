"""``make instructions``: how many instructions each stage of the core takes for an image, against what is written down.

Times are too noisy on shared machines; instructions are not: Valgrind's callgrind counts them, the same number each time. It knows
no AVX-512, so what is counted is the AVX2 code. ``instructions.json`` is the baseline: a change that takes 5 % more of any stage
fails, unless it writes a new baseline (``--rewrite``), which the review sees.

Counts of another compiler, Valgrind or encoder of the input's JPEGs cannot be compared, and that is an error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fastload.diagnosis import make_photos

ROOT = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).with_suffix(".json")
BUILD = ROOT / "build" / "instructions"
PHOTOS = 12  # gray, 4:4:4, 4:2:0, 4:2:2 and progressive ones
MOST = 1.05
STAGES = ("parse", "huffman", "decode", "progressive", "resample", "pack", "recolour", "rotate", "blur")


def build() -> Path:
    """The driver: the core as it is released, but for the optimisation across files, which takes minutes."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DFASTLOAD_PYTHON=OFF", "-DFASTLOAD_CPP_TESTS=ON"]
    if shutil.which("ccache"):
        options += [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX")]
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(BUILD), "-G", "Ninja", *options],
        ["cmake", "--build", str(BUILD), "--target", "instructions"],
    ):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit(done.stdout)
    return BUILD / "instructions"


def photos() -> list[Path]:
    """The input: made anew, always the same."""
    folder = BUILD / "photos"
    shutil.rmtree(folder, ignore_errors=True)
    return sorted(make_photos(folder, PHOTOS).glob("*/*.jpg"), key=lambda path: path.name)


def count(driver: Path, stage: str, files: list[Path]) -> int:
    """Instructions an image."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=measured", "--quiet"]
        done = subprocess.run(
            [*tool, str(driver), stage, *map(str, files)], env={}, capture_output=True, text=True, cwd=folder
        )
        if done.returncode:
            raise SystemExit(f"{stage}: {done.stdout}{done.stderr}")
        total = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    assert total is not None
    return int(total[1]) // int(done.stdout)


def tools(files: list[Path]) -> dict[str, str]:
    """What the numbers depend on beside the source."""
    compiler = re.search(r"CMAKE_CXX_COMPILER:\w+=(.*)", (BUILD / "CMakeCache.txt").read_text())
    assert compiler is not None
    said = subprocess.run([compiler[1], "--version"], capture_output=True, text=True, check=True).stdout
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout
    content = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return {"compiler": said.splitlines()[0], "valgrind": valgrind.strip(), "input": content[:16]}


def compare(found: dict[str, int], baseline: dict[str, int]) -> list[str]:
    """The stages that take more than they may, each in words; prints the table."""
    wrong = []
    print(f"{'stage':<14}{'instructions an image':>22}{'baseline':>14}{'':>10}")
    for stage, number in found.items():
        before = baseline.get(stage)
        change = f"{number / before - 1:+.2%}" if before else "new"
        print(f"{stage:<14}{number:>22,}{before or 0:>14,}{change:>10}")
        if before is None or number > before * MOST:
            wrong.append(f"{stage}: {change}")
    return wrong + [f"{stage}: gone" for stage in baseline.keys() - found.keys()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewrite", action="store_true", help="write the counts down as the new baseline")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind")
        return 2
    driver, files = build(), photos()
    used = tools(files)
    print(", ".join(f"{name} {value}" for name, value in used.items()))
    found = {stage: count(driver, stage, files) for stage in STAGES}
    if options.rewrite:
        BASELINE.write_text(json.dumps({"tools": used, "instructions an image": found}, indent=1) + "\n")
        print(f"written to {BASELINE.relative_to(ROOT)}")
        return 0
    baseline = json.loads(BASELINE.read_text())
    wrong = compare(found, baseline["instructions an image"])
    if baseline["tools"] != used:
        print(f"not comparable: the baseline is of {baseline['tools']}. Count the commit before with --rewrite first.")
        return 2
    for one in wrong:
        print(
            f"more than {MOST - 1:.0%} above the baseline: {one}. If it must be, write a new one: make instructions REWRITE=1"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
