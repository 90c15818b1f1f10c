"""``fastload preview``: a contact sheet of a source."""

from __future__ import annotations

import click

from fastload.commands.source_options import opened, source_options


@click.command(epilog="Example: fastload preview /data/train sheet.png --transform train")
@source_options
@click.argument("out", type=click.Path(dir_okay=False, writable=True))
@click.option("-n", "--images", type=click.IntRange(1, 10_000), default=25, show_default=True, help="At the most.")
@click.option(
    "--transform",
    type=click.Choice(["none", "train", "eval"]),
    default="none",
    show_default=True,
    help="train: RandomResizedCrop(224) and flip; eval: Resize(256), CenterCrop(224).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of --transform train.")
def preview(src: str, options: tuple[str, ...], out: str, images: int, transform: str, seed: int) -> None:
    """Write OUT, a PNG of images spread evenly over SRC, with their classes, as the loader gives them.

    Exit status: 0, or 2 where SRC is no source.
    """
    from fastload.conversion import write_preview

    try:
        count = write_preview(opened(src, options), out, images=images, transform=transform, seed=seed)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{out}: {count} images")
