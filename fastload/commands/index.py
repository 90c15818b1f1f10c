"""``fastload index``: finds where the samples of a source are, and keeps it; writes and compares the indexes of other loaders."""

from __future__ import annotations

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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a source, on standard output.")
def index(sources: tuple[str, ...], exports: tuple[str, ...], imports: tuple[str, ...], as_json: bool) -> None:
    """Find where the samples of each SRC are, and keep it for the data sets that will read it.

    SRC is a shard, a folder, or a pattern in quotation marks. Exit status 1: a source cannot be indexed, or an index given with
    --import is not that of the shards.
    """
    failed = False
    for source in sources:
        try:
            report = _indexed(source, exports, imports)
        except (OSError, ValueError, ImportError) as error:
            report, failed = {"source": source, "error": str(error)}, True
        click.echo(json.dumps(report) if as_json else _text(report), err="error" in report and not as_json)
    sys.exit(1 if failed else 0)


def _indexed(source: str, exports: tuple[str, ...], imports: tuple[str, ...]) -> dict[str, Any]:
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


def _text(report: dict[str, Any]) -> str:
    if "error" in report:
        return f"{report['source']}: {report['error']}"
    lines = [f"{report['source']}: {report['samples']:,} samples ({report['kind']})"]
    if report["index"] is None and "shards" not in report:
        return lines[0] + ", files of their own: no index is needed"
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
    lines += [f"  {path}: as the shards are, {count:,} samples" for path, count in report.get("imported", {}).items()]
    lines += [f"  written: {path}" for path in report.get("exported", [])]
    return "\n".join(lines + [f"  {line}" for line in report["warnings"]])
