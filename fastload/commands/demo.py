"""``fastload demo``: in a minute, whether the batches are torch's, and how much sooner they are there."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

import click

_RUNS = 3
# Of the comparison, chosen so that all of the command, imports and the making of photos included, takes less than a minute.
_SECONDS = 25.0
_MOST_WORKERS = 8
_CHART = "fastload-demo.svg"


@click.command(epilog="Example: fastload demo --data ~/photos")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False),
    help="Class folders of images, or images.  [default: photos are made]",
)
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, writable=True),
    help=f"The picture, an SVG.  [default: {_CHART}, here]",
)
def demo(data: str | None, chart: str | None) -> None:
    """Show on photos what fastload does: prove that its batches are those of torch's DataLoader, then time both in turn.

    It takes less than a minute: of a large folder as many images are drawn as there is time for, a small one is taken several
    times.
    `fastload bench` does the same with options.

    Exit status: 0 all batches are equal, 1 one is not, or a photo cannot be read.
    """
    if chart is not None and not os.path.isdir(os.path.dirname(os.path.abspath(chart))):
        raise click.UsageError(f"--chart {chart}: there is no such folder")
    began = time.perf_counter()
    versions = _versions()
    click.echo(f"{versions}; this takes less than a minute")
    from fastload.commands.comparing import compared, show, told_errors
    from fastload.diagnosis import SideBySide, comparison_picture, make_photos, size_for

    workers = _workers()
    with contextlib.ExitStack() as stack:
        folder = data or str(make_photos(Path(_temporary_folder(stack))))
        with told_errors(folder):
            size = size_for(folder, "train", seconds=_SECONDS, runs=_RUNS, workers=workers)
            sizes = {"most": size.images, "least": size.images, "batch_size": size.batch_size}
            found = compared(SideBySide(folder, recipe="train", workers=workers, **sizes), _RUNS, shows_progress=True)
    click.echo(f"photos: {'made for this' if data is None else data}")
    show(found, time.perf_counter() - began)
    if size.why:
        click.echo(f"batches of {size.batch_size}: {size.why}")
    if found.first_difference is not None:
        raise SystemExit(1)
    _write(chart, comparison_picture(found, versions))
    click.echo("in your code: from fastload import DataLoader; or with none of it changed: fastload run train.py")


def _workers() -> int:
    from fastload.machine import usable_cores

    return min(_MOST_WORKERS, usable_cores())


def _versions() -> str:
    """Of all that takes part, without importing it."""
    from importlib import metadata

    from fastload.version import __version__

    others = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "pillow"))
    cores = _workers()
    return f"fastload {__version__}, {others}, {cores} core{'s' if cores != 1 else ''}"


def _temporary_folder(stack: contextlib.ExitStack) -> str:
    try:
        return stack.enter_context(tempfile.TemporaryDirectory(prefix="fastload-demo-"))
    except OSError as error:
        raise click.ClickException(f"{error}: photos cannot be made. Give some, --data DIR, or set TMPDIR.") from None


def _write(chart: str | None, svg: str) -> None:
    """An error if that file was asked for; a word if it was not."""
    path = chart or _CHART
    try:
        Path(path).write_text(svg, encoding="utf-8")
    except OSError as error:
        if chart:
            raise click.ClickException(f"the chart: {error}") from None
        click.echo(f"no chart as a picture: {error}; --chart FILE")
    else:
        click.echo(f"the chart as a picture: {path}")
