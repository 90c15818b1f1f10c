"""What a conversion came to, from what is known of its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastload.conversion.errors import ConversionError
from fastload.conversion.plan import Plan
from fastload.conversion.read_back import Written
from fastload.conversion.sample_lists import SampleList

_MOST_NAMES = 100


def report_of(plan: Plan, samples: SampleList, is_checked: bool) -> dict[str, Any]:
    """The report, for JSON. The same conversion gives the same one, whenever, wherever and however fast it is made.

    ``crc32c_sha256`` is the SHA-256 of the CRC-32C of each sample's bytes (4 bytes each, little-endian), in order: it does not
    depend on the format, nor on how samples are cut into files.
    """
    whole = hashlib.sha256()
    files, bad = [], []
    count = size = changed = 0
    for facts in _all_done(plan):
        whole.update(np.array(facts["crc32c"], "<u4").tobytes())
        count += facts["samples"]
        size += facts["bytes"]
        changed += facts["changed"]
        bad += facts["bad"]
        if facts["file"] is not None:
            files.append({"name": facts["file"], "samples": facts["samples"], "bytes": facts["size"]})
    return {
        **plan.facts,
        "samples": count,
        "bytes": size,
        "classes": samples.classes,
        "crc32c_sha256": whole.hexdigest(),
        "changed": changed,
        "files": files,
        "bad": bad,
        "left_out": {"files": len(samples.left_out), "first": samples.left_out[:_MOST_NAMES]},
        "checked": is_checked,
        "classes_renumbered": plan.settings.to == "folder"
        and samples.classes not in (None, sorted(samples.classes or [])),
    }


def written(plan: Plan, samples: SampleList) -> Iterator[Written]:
    """All samples that were written, in order."""
    for number, facts in enumerate(_all_done(plan)):
        sums, bad = facts["crc32c"], set(facts["bad_rows"])
        good = [row for at, row in enumerate(plan.part(number)) if at not in bad]
        for crc32c, row in zip(sums, good, strict=True):
            yield Written(samples.sample(row), crc32c)


def _all_done(plan: Plan) -> Iterator[dict[str, Any]]:
    for number in range(len(plan)):
        facts = plan.done(number)
        if facts is None:
            raise ConversionError(f"{plan.dst}: part {number} has gone while the conversion was at work")
        yield facts
