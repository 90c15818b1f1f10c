"""What benchmarks are asked on the command line: which photos, and of whole loaders how they are loaded and how often."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks import photos

COPIES = 8


def photos_parser(
    description: str | None, *, copies: str = "of which copies are listed", required: bool = False
) -> argparse.ArgumentParser:
    """With where the photos are; what is said of neither can be asked of `tree_of`."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = made.add_mutually_exclusive_group(required=required)
    where.add_argument("--data", type=Path, help="an ImageFolder tree of JPEGs")
    where.add_argument("--photos", type=Path, help=f"a flat folder of JPEGs, {copies}")
    return made


def tree_of(given: argparse.Namespace) -> Path:
    """The ImageFolder tree that was given, or one of links to the photos given, found beside the checkout, or made."""
    return given.data or photos.find_or_make(Path("build"), given.photos)[0]


def parser(description: str | None, *, runs: int) -> argparse.ArgumentParser:
    """With the options that all benchmarks of whole loaders have."""
    made = photos_parser(description, copies="of which eight copies are made each", required=True)
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
