"""``fastload verify``: every sample of a source is read and decoded, and the bad ones are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from fastload.commands.source_options import opened_by, source_options
from fastload.reports import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastload.conversion import Finding
    from fastload.shards import Damage


@click.command(
    epilog="Example: fastload verify /data/train --list bad.txt; then ImageFolder('/data/train', exclude='bad.txt')"
)
@source_options
@click.option(
    "--list",
    "list_file",
    type=click.Path(dir_okay=False, writable=True),
    help="Write the names of bad samples here, one a line, for exclude= of the data set.",
)
@click.option("--threads", type=click.IntRange(1), help="Default: this process's share of the cores.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
def verify(src: str, options: tuple[str, ...], list_file: str | None, threads: int | None, as_json: bool) -> None:
    """Read and decode every sample of SRC on all cores, and say which are bad, and why.

    SRC is a folder of class folders, or files of any format that fastload reads. Shards that are cut or damaged are told with the
    place, and so are records of TFRecord whose checksum is wrong; the rest is read. A sample that Pillow reads with a warning, or
    that libjpeg repairs, is told as a warning: it is no bad one, and not in the list.

    Exit status: 0 all can be read, 1 there is a bad one, 2 SRC is no source.
    """
    from fastload.conversion import open_damaged, verify_samples
    from fastload.datasets import name_line
    from fastload.reports import ProgressLine

    dataset, damage = opened_by(open_damaged, src, options)
    with ProgressLine("verifying", 0 if dataset is None else len(dataset), "images") as line:
        found = verify_samples(dataset, damage=damage, threads=threads, tell=line.add)
    if list_file is not None:
        with open(list_file, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(name_line(finding.name) for finding in found.bad if finding.name is not None)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for finding in found.warned:
            _say(click.style("warning", fg="yellow"), finding)
        for finding in found.bad:
            _say(click.style("bad", fg="red"), finding)
        rate = found.samples / found.seconds if found.seconds else 0
        click.echo(
            f"{found.samples:,} samples, {len(found.bad):,} bad, {len(found.warned):,} with a warning; "
            f"{found.seconds:.1f} s, {rate:,.0f} images/s"
        )
        if list_file is not None:
            click.echo(_how_to_exclude(list_file, found.bad, damage))
    raise SystemExit(1 if found.bad else 0)


def _how_to_exclude(list_file: str, bad: Sequence[Finding], damage: Sequence[Damage]) -> str:
    """What a data set is to be given so that it can be read without what is bad."""
    nameless = sum(finding.name is None for finding in bad)
    if not bad:
        return f"{list_file} is empty: there is nothing to leave out"
    told = f"{list_file} is empty"
    if nameless < len(bad):
        # A checksum that is wrong is an error when the files are opened, whatever is left out.
        needs_more = ', check="never"' if any(one.row is not None for one in damage) else ""
        told = f"{list_file} has the names of the bad samples: exclude={list_file!r}{needs_more}"
    if nameless:
        told += (
            f"; {nameless:,} bad places have no name that could be left out: write those files anew, or leave them out"
        )
    return told


def _say(what: str, finding: Finding) -> None:
    where = finding.file or "in memory"
    if finding.offset is not None:
        where += f" at byte {finding.offset}"
    if finding.name is not None:
        where = f"{finding.name} (sample {finding.index}; {where})"
    click.echo(f"{what}: {printable(where)}: {printable(finding.reason)}")
