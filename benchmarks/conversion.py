"""How fast conversions are, against copies of the same bytes: page cache to page cache, in turn.

``python -m benchmarks.conversion [--photos DIR] [--size GB] [--at FOLDER] [--rounds N]``
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.report import machine, save, table

# From what to what; each source is the one before it.
STEPS = [
    ("folder", "webdataset"),
    ("webdataset", "tfrecord"),
    ("tfrecord", "lmdb"),
    ("lmdb", "parquet"),
    ("parquet", "folder"),
]
_SHARD_SIZE = 64_000_000


def fill(root: Path, photos: Path | None, size: int) -> int:
    """A folder of class folders of so many bytes: copies of photos, or random bytes of the sizes that photos have."""
    rng = random.Random(0)
    given = [path.read_bytes() for path in sorted(photos.rglob("*.[jJ][pP]*[gG]"))] if photos else []
    noise = rng.randbytes(1 << 24)
    done = number = 0
    while done < size:
        length = rng.randrange(40_000, 180_000)
        at = rng.randrange(len(noise) - length)
        data = given[number % len(given)] if given else b"\xff\xd8\xff" + noise[at : at + length]
        place = root / f"class{number // 500:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"img_{number:06d}.jpg").write_bytes(data)
        done, number = done + len(data), number + 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="JPEGs that are copied; without them files are random bytes")
    parser.add_argument("--size", type=float, default=1.0, help="GB")
    parser.add_argument("--at", type=Path, default=Path("/dev/shm"), help="where all is written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    given = parser.parse_args()
    from fastload.conversion import convert

    with tempfile.TemporaryDirectory(dir=given.at) as name:
        work = Path(name)
        source = work / "folder"
        size = fill(source, given.photos, int(given.size * 1e9))
        before = source
        sources: dict[str, Path] = {"folder": source}
        for _, to in STEPS[:-1]:
            sources[to] = work / to
            convert(before, sources[to], to, shard_size=_SHARD_SIZE, check=False)
            before = sources[to]
        big = next(path for path in sorted(sources["lmdb"].iterdir()) if path.stat().st_size > size // 2)

        def converted(origin: str, to: str, check: bool) -> Callable[[Path], Any]:
            return lambda dst: convert(
                sources[origin], dst, to, shard_size=_SHARD_SIZE, check=check, workers=given.workers
            )

        arms: dict[str, Callable[[Path], Any]] = {
            "cp -r, files": lambda dst: subprocess.run(["cp", "-r", source, dst], check=True),
            "cp, one file": lambda dst: subprocess.run(["cp", big, dst], check=True),
        }
        for origin, to in STEPS:
            arms[f"{origin} to {to}"] = converted(origin, to, False)
            arms[f"{origin} to {to}, checked"] = converted(origin, to, True)
        rows = measure(arms, work / "written", size, given.rounds)
    table(Console(), f"{size / 1e9:.2f} GB, {given.workers} threads", rows, list(rows[0]), "GB/s")
    save("conversion", {"machine": machine(), "bytes": size, "workers": given.workers, "rows": rows})


def measure(arms: dict[str, Callable[[Path], Any]], dst: Path, size: int, rounds: int) -> list[dict[str, Any]]:
    """GB/s of each arm, medians of the rounds, and CPU seconds a GB."""
    walls: dict[str, list[float]] = {name: [] for name in arms}
    costs: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            began, cpu = time.perf_counter(), _cpu()
            arm(dst)
            walls[name].append(time.perf_counter() - began)
            costs[name].append(_cpu() - cpu)
            shutil.rmtree(dst) if dst.is_dir() else dst.unlink()
    return [
        {
            "conversion": name,
            "GB/s": round(size / 1e9 / statistics.median(walls[name]), 2),
            "from": round(size / 1e9 / max(walls[name]), 2),
            "to": round(size / 1e9 / min(walls[name]), 2),
            "CPU s/GB": round(statistics.median(costs[name]) / (size / 1e9), 2),
        }
        for name in arms
    ]


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
