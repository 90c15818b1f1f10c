"""Both loaders side by side, for commands: with a bar while it goes, errors as a command tells them, and a chart."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fastload.diagnosis import Comparison, SideBySide


@contextlib.contextmanager
def told_errors(folder: str) -> Iterator[None]:
    """What Pillow, torchvision and fastload raise of a folder's files, as an error of the command."""
    from fastload.reports import FastloadError

    try:
        yield
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:
        said = str(error) or type(error).__name__
        if isinstance(error, FastloadError) and error.path is not None:
            said = f"{error.path} is no image that can be read: {error.reason}"
            said += f"\n`fastload verify {shlex.quote(folder)}` lists all files that are bad."
        raise click.ClickException(said) from None


def compared(both: SideBySide, runs: int, shows_progress: bool) -> Comparison:
    """Every batch first; then, if all are equal, ``runs`` timed epochs of each."""
    with contextlib.ExitStack() as stack:
        step: Callable[[], None] = lambda: None  # noqa: E731
        if shows_progress and sys.stderr.isatty():
            bar = stack.enter_context(click.progressbar(length=both.steps(runs), label="comparing", file=sys.stderr))
            step = lambda: bar.update(1)  # noqa: E731
        return both.compare(runs, step)


def show(found: Comparison, seconds: float) -> None:
    """What was compared, whether it is equal, and the chart."""
    from fastload.diagnosis import comparison_bars

    workers = "1 worker or thread" if found.workers == 1 else f"{found.workers} workers or threads"
    click.echo(f"{found.images:,} images ({found.what}), batch {found.batch_size}, {workers}")
    click.echo(found.explain.splitlines()[0])
    if found.first_difference is not None:
        click.secho(f"batch {found.first_difference} differs; nothing was timed", fg="red")
        return
    click.echo(f"all {found.batches} batches are equal, bit for bit\n")
    for line in comparison_bars(found, _block(), shutil.get_terminal_size((120, 24)).columns):
        click.echo(line)
    click.echo(f"\nfastload is {found.times_as_fast:.2f} times as fast; measured in {seconds:.0f} s")


def _block() -> str:
    """What bars are made of, in letters that the output has."""
    try:
        "█".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"
