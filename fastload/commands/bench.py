"""``fastload bench``: torch's loader and fastload on one's own photos."""

from __future__ import annotations

import json
import time

import click


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
    from fastload.commands.comparing import compared, show, told_errors
    from fastload.diagnosis import SideBySide
    from fastload.machine import usable_cores

    workers = usable_cores() if workers is None else workers
    with told_errors(data):
        both = SideBySide(data, recipe=recipe, most=most, batch_size=batch_size, workers=workers)
        began = time.perf_counter()
        found = compared(both, runs, shows_progress=not as_json)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        show(found, time.perf_counter() - began)
    raise SystemExit(0 if found.first_difference is None else 1)
