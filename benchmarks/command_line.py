"""What the benchmarks of whole loaders are asked on the command line: which photos, how they are loaded, how often."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks import photos

COPIES = 8


def parser(description: str | None, *, runs: int) -> argparse.ArgumentParser:
    """With the options that all of them have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="an ImageFolder tree of JPEGs")
    where.add_argument("--photos", type=Path, help="a flat folder of JPEGs, of which eight copies are made each")
    made.add_argument("--workload", choices=["train", "eval"], default="train")
    made.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    made.add_argument("--batch-size", type=int, default=64)
    made.add_argument("--runs", type=int, default=runs, help="timed epochs of each arm")
    return made


def given_by(made: argparse.ArgumentParser) -> argparse.Namespace:
    """What was said; ends the process where there is no such folder."""
    given = made.parse_args()
    source = given.data or given.photos
    if not source.is_dir():
        made.error(f"no folder {source}")
    return given


def data_of(given: argparse.Namespace, copies: int = COPIES, folder: str = "photos-copied") -> Path:
    """The ImageFolder tree, made of the photos if need be."""
    return given.data or photos.copy(given.photos, Path("build") / folder, copies)


def as_figures(given: argparse.Namespace) -> dict[str, Any]:
    """What of it goes along with what was measured."""
    return {name: getattr(given, name) for name in ("workload", "batch_size", "workers", "runs")}


def title_of(given: argparse.Namespace) -> str:
    """Of a table."""
    return (
        f"{given.workload}: batch {given.batch_size}, {given.workers} workers or threads, {given.runs} epochs in turn"
    )
