"""How long entry points of ImageNet's size take to open: ``python -m benchmarks.datasets.entries_opening --photos DIR``.

A file of so many records is made of those of DIR's photos, over and over, under keys of no photo: what is timed is opening it, as a
loader does before its first epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torchvision.datasets import ImageFolder

from fastload import _core
from fastload.engine import file_dataset_of
from fastload.entries import make_entries, parts_of, roots_of
from fastload.shards import SelfChecked, write_index

SLOTS_AN_IMAGE = 1.5


def write(path: Path, records: bytes, count: int) -> None:
    """A file of ``count`` records, at least, in as many whole copies of ``records``."""
    slots = np.random.default_rng(0).integers(1, 2**63, 2 * int(SLOTS_AN_IMAGE * count), np.uint64)
    copies = -(-count // int.from_bytes(records[:8], "little"))
    text = records[8:]

    def pieces() -> Iterator[bytes]:
        return (text for _ in range(copies))

    columns = {
        "slots": SelfChecked("<u8", len(slots), lambda: iter([slots.view("|u1").data])),
        "records": SelfChecked("|u1", copies * len(text), pieces),
    }
    write_index(path, {"kind": "entries", "count": count, "root": "/"}, columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="a folder with a folder of JPEGs in it")
    parser.add_argument("--count", type=int, default=1_280_000)
    parser.add_argument("--runs", type=int, default=21)
    options = parser.parse_args()
    files = file_dataset_of(ImageFolder(options.photos))
    prefix = roots_of([files])[0].prefix
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        make_entries(files, 16, threads=1, copy_to=few)
        (_, _, _, at, size), count = parts_of(few)
        write(many, count.to_bytes(8, "little") + few.read_bytes()[at : at + size], options.count)
        seconds = []
        for _ in range(options.runs):
            begun = time.perf_counter()
            parts, opened = parts_of(many)
            _core.EntryStore([(prefix, [parts], None)], every=16, verifies=False)
            seconds.append(time.perf_counter() - begun)
            if opened != options.count:
                raise SystemExit("it is not the file that was written")
        size = many.stat().st_size / options.count
        print(f"{options.count:,} records of {size:,.0f} bytes: opened in {statistics.median(seconds) * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
