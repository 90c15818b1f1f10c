"""``fastload bench``: torch's loader and fastload on one's own photos."""

from __future__ import annotations

import contextlib
import json
import sys
import time

import click

_WIDTH = 40


@click.command(epilog="Example: fastload bench --data ~/photos")
@click.option(
    "--data", required=True, type=click.Path(exists=True, file_okay=False), help="Class folders of images, or images."
)
@click.option(
    "--recipe",
    type=click.Choice(["train", "eval"]),
    default="train",
    show_default=True,
    help="Random crops and flips, or none.",
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Worker processes of torch's, threads of ours.  [default: the usable cores]",
)
@click.option(
    "--images",
    "most",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Of a larger set, so many are drawn.",
)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Timed epochs of each, in turn.")
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")
def bench(data: str, recipe: str, batch_size: int, workers: int | None, most: int, runs: int, as_json: bool) -> None:
    """Compare torch's DataLoader with fastload's on the photos in DIR: first whether every batch is equal, then how fast each is.

    The files come from the page cache, as in every epoch but the first where they fit; `fastload doctor --data DIR` measures the
    storage.

    Exit status: 0 all batches are equal, 1 one is not, or a photo cannot be read.
    """
    from fastload.diagnosis import SideBySide
    from fastload.engine import usable_cores

    workers = usable_cores() if workers is None else workers
    try:
        both = SideBySide(data, recipe=recipe, most=most, batch_size=batch_size, workers=workers)
        began = time.perf_counter()
        with contextlib.ExitStack() as stack:
            step = lambda: None  # noqa: E731
            if not as_json and sys.stderr.isatty():
                bar = stack.enter_context(
                    click.progressbar(length=both.steps(runs), label="comparing", file=sys.stderr)
                )
                step = lambda: bar.update(1)  # noqa: E731
            found = both.compare(runs, step)
    except (
        OSError,
        ValueError,
        RuntimeError,
        SyntaxError,
    ) as error:  # what Pillow, torchvision and fastload raise of files
        raise click.ClickException(f"{type(error).__name__}: {error}") from None
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        click.echo(
            f"{found.images:,} images ({found.what}), batch {found.batch_size}, {found.workers} workers or threads"
        )
        click.echo(found.explain.splitlines()[0])
        if found.first_difference is not None:
            click.secho(f"batch {found.first_difference} differs; nothing was timed", fg="red")
        else:
            click.echo(f"all {found.batches} batches are equal, bit for bit\n")
            top = max(found.medians.values())
            for name, median in found.medians.items():
                bar_text = "█" * max(1, round(_WIDTH * median / top))
                low, high = min(found.rates[name]), max(found.rates[name])
                click.echo(
                    f"{name:<9}{bar_text:<{_WIDTH}} {median:>9,.0f} images/s  ({low:,.0f} to {high:,.0f} in {runs} runs)"
                )
            took = time.perf_counter() - began
            click.echo(f"\nfastload is {found.times_as_fast:.2f} times as fast; measured in {took:.0f} s")
    raise SystemExit(0 if found.first_difference is None else 1)
