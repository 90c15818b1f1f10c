"""``fastload info``: what a source holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from fastload.commands.source_options import opened, source_options

if TYPE_CHECKING:
    from fastload.conversion import SourceInfo

# Of as many classes a line each, of more the largest and the smallest.
_CLASSES_SHOWN = 20


@click.command(epilog="Example: fastload info 'train-*.parquet' --json")
@source_options
@click.option(
    "--all", "look_at_all", is_flag=True, help="Look at the headers of all images, not of 10,000 spread evenly."
)
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
def info(src: str, options: tuple[str, ...], look_at_all: bool, as_json: bool) -> None:
    """Say what SRC holds: samples, classes, bytes, shards; sizes, formats and chroma subsampling of its images.

    Exit status: 0, or 2 where SRC is no source.
    """
    from fastload.conversion import LOOKED_AT, describe
    from fastload.reports import ProgressLine

    dataset = opened(src, options)
    count = len(dataset)
    look_at = count if look_at_all else min(count, LOOKED_AT)
    with ProgressLine("looking", look_at, "images") as line:
        found = describe(dataset, look_at=look_at, tell=line.add)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
        return
    for name, value in _lines(found):
        click.echo(f"{name:12}{value}")


def _lines(found: SourceInfo) -> list[tuple[str, str]]:
    lines = [("samples", f"{found.samples:,}"), ("bytes", f"{found.bytes:,}")]
    if found.samples:
        lines[-1] = ("bytes", f"{found.bytes:,}, {found.bytes / found.samples:,.0f} a sample")
    if found.shards is not None:
        lines.append(("shards", f"{found.shards:,}, {found.shard_bytes:,} bytes"))
    if found.looked_at < found.samples:
        lines.append(("looked at", f"the headers of {found.looked_at:,} images"))
    for name in ("width", "height", "pixels"):
        if span := getattr(found, name):
            lines.append((name, f"{span.min:,} to {span.max:,}, median {span.median:,.0f}"))
    for name in ("formats", "modes", "chroma"):
        if counted := getattr(found, name):
            lines.append((name, ", ".join(f"{kind} {count:,}" for kind, count in counted.items())))
    if found.unreadable:
        lines.append(("unreadable", f"{found.unreadable:,}: fastload verify says which"))
    if found.classes is not None:
        lines.append(("classes", f"{len(found.classes):,}"))
        ordered = list(found.classes.items())
        if len(ordered) > _CLASSES_SHOWN:
            half = _CLASSES_SHOWN // 2
            ordered.sort(key=lambda one: -one[1])
            ordered = [*ordered[:half], ("…", len(ordered) - 2 * half), *ordered[-half:]]
        lines += [("", f"{name}: {count:,}") for name, count in ordered]
    return lines
