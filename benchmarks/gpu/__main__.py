"""GPU benchmark: ``python -m benchmarks.gpu --photos DIR``. One NVIDIA GPU, batches on it, ImageNet's training transforms.

Copies the photos into a folder of 20,000 files, checks what each arm gives, then times them in turn (A B A B), and the training of
ResNet-18 and -50 on synthetic data and with each loader. Every arm and every training has a process of its own. Prints one table
and one line of JSON a row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

FILES, QUICK_FILES = 20_000, 2_000
PHOTOS_PER_CLASS = 10
LOADS = (0.0, 0.3, 0.5, 0.65, 0.8, 0.9, 1.0)
# In the order of the table; dali's and fastload's loads are swept before the turns begin.
ARMS = (
    "stock_pil",
    "stock_v2",
    "torchvision_cuda",
    "dali",
    "dali_fancy",
    "fastload_cpu",
    "fastload_gpu",
    "fastload_dali",
    "fastload_hybrid",
    "fastload_auto",
)
SWEPT = ("dali", "dali_fancy")
TRAINED = ("synthetic", "stock_pil", "stock_v2", "dali", "fastload_cpu", "fastload_gpu", "fastload_hybrid")


# For one command of an arm's process.
_MOST_SECONDS = 100
# A turn is so long, and an epoch at least.
_TURN_SECONDS = 3
# Of the files, in an epoch of a training: one of 20,000 images is over in two seconds, and each begins with nothing read ahead.
_REPEATS = 8


class Child:
    """An arm's process, told by lines what to do."""

    def __init__(self, arm: str, given: dict[str, Any]) -> None:
        self.arm = arm
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu.child", arm, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if not given["verbose"] else None,
            text=True,
        )
        self.ready = self._answer()

    def ask(self, command: str) -> dict[str, Any]:
        """Runs one command to its end; a process that takes too long is ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(_MOST_SECONDS, self._process.kill)
        watch.start()
        try:
            for line in self._process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
        finally:
            watch.cancel()
        said = (self._process.stderr.read() if self._process.stderr else "").strip().splitlines()
        return {"unavailable": f"ended with status {self._process.wait()}: {said[-1] if said else ''}"}

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()


def prepare(photos: Path, root: Path, count: int) -> Path:
    """An ImageFolder tree of ``count`` copies, so that the page cache is read and not one hot file."""
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise SystemExit(f"no JPEGs in {photos}")
    tree = root / f"{count}-of-{len(found)}"
    done = tree.with_suffix(".done")
    if done.exists():
        return tree
    for number in range(count):
        photo, copy = found[number % len(found)], number // len(found)
        folder = tree / f"c{number % len(found) // PHOTOS_PER_CLASS:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, folder / f"{copy:03d}_{photo.stem}.jpg")
    done.touch()
    return tree


def best_loads(given: dict[str, Any], arms: list[str], loads: tuple[float, ...]) -> dict[str, float]:
    """Of each arm whose share of the hardware decoder can be set: the fastest."""
    best = {}
    for arm in arms:
        if arm not in SWEPT:
            continue
        rates = {}
        for load in loads:
            child = Child(arm, {**given, "load": load})
            if "unavailable" not in child.ready:
                child.ask(f"turn {_TURN_SECONDS}")  # DALI's memory grows for a while
                rates[load] = child.ask(f"turn {_TURN_SECONDS}").get("images_per_second", 0.0)
            else:
                print(f"{arm}: {child.ready['unavailable']}", flush=True)
            child.close()
        if rates:
            best[arm] = max(rates, key=lambda load: rates[load])
            line(kind="sweep", arm=arm, rates={str(load): round(rate) for load, rate in rates.items()})
    return best


def line(**row: Any) -> None:
    """One row for machines."""
    print(json.dumps(row), flush=True)


def rounds(given: dict[str, Any], arms: list[str], loads: dict[str, float], count: int) -> list[dict[str, Any]]:
    """Arms in turn. An arm whose check fails has no speed."""
    children = {}
    for arm in arms:
        child = Child(arm, {**given, "load": loads.get(arm)})
        check = {"unavailable": child.ready["unavailable"]} if "unavailable" in child.ready else child.ask("check")
        line(kind="check", arm=arm, **check)
        if check.get("ok"):
            child.ask(f"turn {_TURN_SECONDS}")
            children[arm] = child
        else:
            child.close()
    turns: dict[str, list[dict[str, Any]]] = {arm: [] for arm in children}
    for _ in range(count):
        for arm, child in children.items():
            answer = child.ask(f"turn {_TURN_SECONDS}")
            if "images_per_second" in answer:
                turns[arm].append(answer)
            line(kind="turn", arm=arm, **answer)
    rows = []
    for arm, child in children.items():
        child.close()
        if not turns[arm]:
            continue
        rates = [turn["images_per_second"] for turn in turns[arm]]
        rows.append(
            {
                "kind": "loading",
                "arm": arm,
                "images/s": statistics.median(rates),
                "min": min(rates),
                "max": max(rates),
                "cpu s/1000": statistics.median(turn["cpu_s_per_1000"] for turn in turns[arm]),
                "copies not hidden": statistics.median(turn["copy_share"] for turn in turns[arm]),
                "load": loads.get(arm),
                "decoders": turns[arm][-1].get("decoders"),
                "explain": turns[arm][-1].get("explain"),
            }
        )
        line(**rows[-1])
    return rows


def training(
    given: dict[str, Any], arms: list[str], loads: dict[str, float], models: list[str]
) -> list[dict[str, Any]]:
    """Each model on synthetic data, then with each loader."""
    rows = []
    for model in models:
        synthetic = None
        for arm in arms:
            child = Child(arm, {**given, "load": loads.get(arm), "repeats": _REPEATS})
            answer = child.ready if "unavailable" in child.ready else child.ask(f"train {model}")
            child.close()
            if arm == "synthetic":
                synthetic = answer.get("images_per_second")
            row = {"kind": "training", "model": model, "arm": arm, **answer}
            if synthetic and "images_per_second" in answer:
                row["of synthetic"] = answer["images_per_second"] / synthetic
            rows.append(row)
            line(**row)
    return rows


def table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """For people."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    print(f"\n{title}")
    for row in [columns, *cells]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"
    return "" if value is None else str(value)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    import torch

    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs, searched through")
    parser.add_argument("--work", type=Path, default=Path("build/gpu"), help="where the copies go")
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FILES} files, one round")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--loads", nargs="*", type=float, default=list(LOADS), help="hw_decoder_load to sweep")
    parser.add_argument(
        "--best", nargs="*", default=[], metavar="ARM=LOAD", help="in the place of a sweep, for these arms: dali=0.65"
    )
    parser.add_argument("--train", nargs="*", default=["resnet50", "resnet18"], help="models; none: loading alone")
    parser.add_argument("--train-arms", nargs="*", default=list(TRAINED))
    parser.add_argument("--train-images", type=int, default=None, help="images a training; default: four epochs")
    parser.add_argument("--sweep-only", action="store_true")
    parser.add_argument("--checked-batches", type=int, default=32, help="compared with the CPU's pixels")
    parser.add_argument("--verbose", action="store_true", help="let the arms' processes print their errors")
    asked = parser.parse_args()
    count = QUICK_FILES if asked.quick else asked.files
    turns = 1 if asked.quick else asked.rounds
    given = {
        "data": str(prepare(asked.photos, asked.work, count)),
        "batch_size": asked.batch_size,
        "workers": asked.workers,
        "train_images": asked.train_images or (count if asked.quick else 4 * count),
        "checked_batches": asked.checked_batches,
        "verbose": asked.verbose,
        "repeats": 1,
        "load": None,
    }
    line(kind="machine", files=count, batch_size=asked.batch_size, workers=asked.workers, **machine())
    known = {arm: float(load) for arm, load in (pair.split("=") for pair in asked.best)}
    swept = [arm for arm in asked.arms if arm not in known] if asked.loads else []
    loads = {**best_loads(given, swept, tuple(asked.loads)), **known}
    if asked.sweep_only:
        return 0
    loaded = rounds(given, asked.arms, loads, turns)
    trained = training(given, asked.train_arms, loads, asked.train)
    if loaded:
        columns = ["arm", "images/s", "min", "max", "cpu s/1000", "copies not hidden", "load"]
        table(f"loading: {count} files, batch {asked.batch_size}, medians of {turns} turns", loaded, columns)
    if trained:
        columns = ["model", "arm", "images_per_second", "of synthetic", "gpu_utilisation", "unavailable"]
        table("training: bfloat16, channels_last", trained, columns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
