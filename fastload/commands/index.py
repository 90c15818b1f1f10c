"""``fastload index``: finds where the samples of a source are, and where the codes of its JPEGs can be entered, and keeps both;
writes and compares the indexes of other loaders."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import sys
import time
import warnings
from typing import Any

import click


@click.command(epilog="Example: fastload index 'train-{000000..001281}.tar' --export wids")
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(["dali", "wids", "timm", "tfrecord2idx"]),
    help="Also write the index that these keep, beside the shards. May be given several times.",
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    metavar="FILE",
    help="Compare an index of wids, DALI, timm or tfrecord2idx with the shards. Pickles are never read.",
)
@click.option(
    "--k",
    "every",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Entry points before every N-th MCU of each row of MCUs; 0: one a row. Others that are there are made anew. Without it"
    " these stay, and new ones are made as they were; every 16th where there are none.",
)
@click.option("--no-entries", is_flag=True, help="No entry points.")
@click.option(
    "--entries", "entries_to", metavar="FILE", help="Also write all entry points to FILE, as for another machine."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a source, on standard output.")
def index(
    sources: tuple[str, ...],
    exports: tuple[str, ...],
    imports: tuple[str, ...],
    every: int | None,
    no_entries: bool,
    entries_to: str | None,
    as_json: bool,
) -> None:
    """Find where the samples of each SRC are, and where the codes of its JPEGs can be entered, and keep it for what will read them.

    Entry points are kept in the user's cache folder, and loaders find them there: windows of JPEGs are then decoded without what
    lies above and beside them. Stopped and started again, this goes on where it was.

    SRC is a shard, a folder, or a pattern in quotation marks. Exit status 1: a source cannot be indexed, FILE cannot be written, or
    an index given with --import is not that of the shards.
    """
    if entries_to and len(sources) > 1:
        raise click.UsageError("--entries FILE takes one SRC: each of several would replace the one before")
    if entries_to and no_entries:
        raise click.UsageError("--entries FILE and --no-entries")
    failed = False
    for source in sources:
        try:
            report = _indexed(source, exports, imports, every, entries_to, has_entries=not no_entries)
        except (OSError, ValueError, ImportError) as error:
            report, failed = {"source": source, "error": str(error)}, True
        failed |= entries_to is not None and entries_to not in report.get("entries", {}).get("places", ())
        click.echo(json.dumps(report) if as_json else _text(report), err="error" in report and not as_json)
    sys.exit(1 if failed else 0)


def _indexed(
    source: str,
    exports: tuple[str, ...],
    imports: tuple[str, ...],
    every: int | None,
    entries_to: str | None,
    *,
    has_entries: bool,
) -> dict[str, Any]:
    from fastload.datasets import kind_of_source
    from fastload.reports import ProgressLine
    from fastload.shards import check_foreign_index, shard_list, write_foreign_index

    kind = kind_of_source(source)
    begun = time.monotonic()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        files = shard_list(source, kind.endings) if kind.endings else []
        size = sum(os.path.getsize(path) for path in files if os.path.isfile(path))
        with ProgressLine(f"indexing {source}", size, "bytes") as line:
            tells = "progress" in inspect.signature(kind.open).parameters
            dataset = kind.open(source, **({"progress": line.add} if tells else {}))
    seconds = time.monotonic() - begun
    found = getattr(dataset.samples, "sample_index", None)
    report: dict[str, Any] = {
        "source": source,
        "kind": kind.name,
        "samples": len(dataset),
        "seconds": round(seconds, 3),
    }
    report["classes"] = len(getattr(dataset, "classes", []))
    report["warnings"] = [str(one.message) for one in told]
    if has_entries:
        report["entries"] = _entries(source, dataset, every, entries_to)
    if found is None:
        return {**report, "index": None}
    paths = [shard.path for shard in found.shards]
    report |= {
        "shards": len(paths),
        "bytes": sum(shard.size for shard in found.shards),
        "targets": found.target_kind,
        "index": found.path,
        "unclosed": sum("unclosed" in facts for facts in found.facts.get("shards", [])),
    }
    if imports:
        report["imported"] = {path: check_foreign_index(path, paths) for path in imports}
    if exports:
        report["exported"] = [path for one in exports for path in write_foreign_index(one, paths)]
    return report


def _entries(source: str, dataset: Any, every: int | None, copy_to: str | None) -> dict[str, Any]:
    from fastload.engine import file_dataset_of
    from fastload.entries import make_entries
    from fastload.reports import NotNative, ProgressLine

    begun = time.monotonic()
    with ProgressLine(f"entry points of {source}", len(dataset), "images") as line:
        try:
            made = make_entries(file_dataset_of(dataset), every, copy_to=copy_to, progress=line.add)
        except (NotNative, OSError) as error:
            return {"error": str(error)}
    return {**dataclasses.asdict(made), "seconds": round(time.monotonic() - begun, 3)}


def _entry_lines(entries: dict[str, Any]) -> list[str]:
    if "error" in entries:
        return [f"  entry points: not made: {entries['error']}"]
    if not entries["places"]:
        return ["  entry points: none: its samples lie in no files, here or afar"]
    rate = f", {entries['made'] / max(entries['seconds'], 1e-9):,.0f} images/s" if entries["made"] else ""
    line = f"  entry points: {entries['made']:,} made in {entries['seconds']:.2f} s{rate}"
    line += f", {entries['replaced']:,} of them anew, in the place of those of another K" if entries["replaced"] else ""
    line += (
        f", {entries['known']:,} were there" + (" and stay" if entries["as_before"] else "") if entries["known"] else ""
    )
    line += f", {entries['none']:,} images cannot have any" if entries["none"] else ""
    line += f", {entries['failed']:,} could not be read or kept" if entries["failed"] else ""
    k = f"K = {entries['k']}" + (", one a row of MCUs" if entries["k"] == 0 else "")
    k += ", as of most that were there: `--k N` makes all with another" if entries["as_before"] else ""
    return [line, f"  entry points: {k}", *(f"  entry points: in {place}" for place in entries["places"])]


def _text(report: dict[str, Any]) -> str:
    if "error" in report:
        return f"{report['source']}: {report['error']}"
    lines = [f"{report['source']}: {report['samples']:,} samples ({report['kind']})"]
    if report["index"] is None and "shards" not in report:
        lines[0] += ", files of their own: no index is needed"
        return "\n".join(lines + _entry_lines(report["entries"]) if "entries" in report else lines)
    rate = report["bytes"] / max(report["seconds"], 1e-9) / 1e9
    lines.append(
        f"  {report['shards']:,} shards, {report['bytes'] / 1e6:,.0f} MB in {report['seconds']:.2f} s ({rate:.1f} GB/s)"
    )
    lines.append(f"  targets: {report['targets']}" + (f", {report['classes']:,} classes" if report["classes"] else ""))
    lines.append(f"  index: {report['index'] or 'nowhere can be written, so it is made anew each time'}")
    if report["unclosed"]:
        lines.append(
            f"  {report['unclosed']:,} shards end without the blocks that close a tar: whole, or cut between two members"
        )
    lines += _entry_lines(report["entries"]) if "entries" in report else []
    lines += [f"  {path}: as the shards are, {count:,} samples" for path, count in report.get("imported", {}).items()]
    lines += [f"  written: {path}" for path in report.get("exported", [])]
    return "\n".join(lines + [f"  {line}" for line in report["warnings"]])
