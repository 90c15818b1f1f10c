"""``fastload convert``: a data set in another format, with every byte, name and class that it has."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from fastload.commands.progress import ProgressBar, rate
from fastload.commands.source_options import that_is_there

if TYPE_CHECKING:
    from fastload.conversion import Progress

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def _bytes(value: str | int) -> int:
    """A size: 512000000, 512MB, 1GiB."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*((?:[kmg]i?)?)b?\s*", str(value).lower())
    if found is None:
        raise click.BadParameter(f"{value!r} is no size: 512000000, 512MB, 1GiB")
    return int(float(found[1]) * _UNITS[found[2]])


@click.command(epilog="Example: fastload convert /data/imagenet/train /data/imagenet-tar --to webdataset")
@click.argument("src", callback=that_is_there)
@click.argument("dst", type=click.Path(file_okay=False))
@click.option(
    "--to",
    type=click.Choice(["webdataset", "tfrecord", "lmdb", "parquet", "folder"]),
    default="webdataset",
    show_default=True,
    help="The format of DST.",
)
@click.option(
    "--max-side", type=click.IntRange(1), metavar="N", help="Make images with a longer side than N pixels smaller."
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="Q",
    help="Of JPEG and WebP images that are made smaller.  [default: 95]",
)
@click.option(
    "--optimize",
    is_flag=True,
    help="Make JPEGs sequential, with their best Huffman tables: the same pixels, decoded faster.",
)
@click.option(
    "--shard-size",
    type=_bytes,
    metavar="BYTES",
    default="512MB",
    show_default=True,
    help="Of samples in one file, at most.",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads.  [default: the usable cores]")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="A sample that cannot be read: end, or leave it out and list it in the report.",
)
@click.option(
    "--exclude",
    type=click.Path(exists=True, dir_okay=False),
    help="A file with names of samples to leave out, one a line, as fastload verify writes it.",
)
@click.option("--no-check", is_flag=True, help="Do not read back and compare what was written.")
@click.option("--ray", metavar="ADDRESS", help="Write on a Ray cluster, whose machines all see SRC and DST.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def convert(src: str, dst: str, no_check: bool, as_json: bool, **options: Any) -> None:
    """Write the samples of SRC, whatever it is, into the folder DST in another format.

    Every byte, name, class and target stays as it is, unless --max-side asks for smaller images. The same SRC and options give the
    same bytes. After an end at any point, also a kill or a full disk, the same command goes on where it was. DST/fastload.json is
    the report.

    Exit status: 0 all is written and reads back equal, 1 it could not be, 2 wrong use, 130 ended by Ctrl-C.
    """
    from fastload import conversion

    try:
        with ProgressBar() as bar:
            report = conversion.convert(src, dst, check=not no_check, progress=_shown_by(bar), **options)
    except conversion.RefusedError as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        click.echo(f"\nended; the same command goes on where {dst} is now", err=True)
        raise SystemExit(130) from None
    except (conversion.ConversionError, ImportError, OSError) as error:
        click.echo(f"Error: {error}\nWhat is written stays, and the same command goes on from there.", err=True)
        raise SystemExit(1) from None
    click.echo(json.dumps(report, indent=1, sort_keys=True) if as_json else _text(report, dst))


def _shown_by(bar: ProgressBar) -> Any:
    def show(progress: Progress) -> None:
        samples, size = progress.samples - progress.found_samples, progress.bytes - progress.found_bytes
        text = rate(samples, size, progress.seconds, progress.all_samples - progress.samples)
        bar.show(progress.step, progress.samples, progress.all_samples, text)

    return show


def _text(report: dict[str, Any], dst: str) -> str:
    classes = f" of {len(report['classes']):,} classes" if report["classes"] else ""
    files = f" in {len(report['files']):,} files" if report["files"] else ""
    lines = [
        f"{report['samples']:,} samples{classes}, {report['bytes'] / 1e6:,.1f} MB{files}: {dst}",
        f"checksum {report['crc32c_sha256']}" + (", read back equal" if report["checked"] else ", not read back"),
        "nothing to do: this very conversion was done before"
        if not report["seconds"]
        else f"{report['seconds']:.1f} s, {report['bytes'] / max(report['seconds'], 1e-3) / 1e6:,.0f} MB/s",
    ]
    if report["changed"]:
        lines.append(f"{report['changed']:,} images are encoded anew")
    if report["left_out"]["files"]:
        lines.append(f"{report['left_out']['files']:,} files are no samples, as {report['left_out']['first'][0]!r}")
    if report["classes_renumbered"]:
        lines.append("the classes' numbers are others now: a folder's classes are sorted by name")
    lines += [f"left out: {bad['name']!r}: {bad['reason']}" for bad in report["bad"]]
    return "\n".join(lines)
