"""TFRecord files -> where each record's encoded image lies in them, with its label; the scan itself is native."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from fastload import _core
from fastload.engine import share_of_cores
from fastload.remote import is_remote
from fastload.reports import printable, printable_errors
from fastload.shards.damage import Damage
from fastload.shards.index_file import Column, text_column
from fastload.shards.index_place import kept_index
from fastload.shards.packed_tfrecords import PackedIndex, UnpackedFile, unpacked_shard
from fastload.shards.sample_index import SampleColumns, SampleIndex, Shard
from fastload.shards.shard_bytes import ScanSource, scan_source, shards_of
from fastload.shards.tfrecord_features import Features, chosen_features
from fastload.shards.tfrecord_records import compression_of, first_example, refusal
from fastload.shards.whole_sets import refuse_unfinished

FORMAT = "tfrecord"
CHECKS = ("first", "always", "never")


def index_tfrecords(
    files: Sequence[str], image: str, target: str | None, check: str, label_base: int | None = None
) -> SampleIndex:
    """The records of these files, in their order.

    Args:
        files: paths.
        image, target: names of features; the defaults of :class:`fastload.TFRecord` stand for TFDS' names, too. None: no targets.
        check: "first", "always" or "never".
        label_base: the label of class 0; None: 1 where it looks so, else 0.

    Raises:
        ValueError: a damaged file, or one that has other features; the message names file, record and offset.
        OSError: a file that cannot be read.
    """
    if check not in CHECKS:
        raise ValueError(f"check={check!r}: it is one of {', '.join(map(repr, CHECKS))}")
    settings = {"image": image, "target": target, "check": check, "label_base": label_base}
    if check == "always" and any(map(is_remote, files)):
        raise ValueError(
            'check="always" is for files: what is read from afar is checked when it is indexed, and by its ETag'
        )
    return kept_index(FORMAT, shards_of(files), settings, lambda now, _: _built(now, settings))


def read_tfrecords(
    files: Sequence[str],
    image: str,
    target: str | None,
    label_base: int | None = None,
    damage: list[Damage] | None = None,
) -> SampleIndex:
    """The same of the files as they are now, compressed ones too, in an index that is not kept; all checksums are looked at.

    Args:
        files, image, target, label_base: as of :func:`index_tfrecords`.
        damage: takes what is bad, instead of an error for the first; what is behind a length that is wrong is not read.

    The samples of compressed files are to be read in about this order. Raises as :func:`index_tfrecords` does.
    """
    refuse_unfinished(files)
    shards = shards_of(files)
    packed = frozenset(
        number for number, shard in enumerate(shards) if not is_remote(shard.path) and compression_of(shard.path)
    )
    shards = [unpacked_shard(shard) if number in packed else shard for number, shard in enumerate(shards)]
    check = "always" if packed else "first"
    settings = {"image": image, "target": target, "check": check, "label_base": label_base}
    with printable_errors():
        index = _built(shards, settings, packed, damage)
    return PackedIndex(index, packed) if packed else index


def _built(
    shards: Sequence[Shard],
    settings: Mapping[str, Any],
    packed: frozenset[int] = frozenset(),
    damage: list[Damage] | None = None,
) -> SampleIndex:
    checks_data = settings["check"] != "never"
    for number, shard in enumerate(shards):
        is_near = number not in packed and not is_remote(shard.path)
        if is_near and (compression := compression_of(shard.path)) is not None:
            raise ValueError(refusal(shard.path, compression))
    goes_on = damage is not None
    looked_into = (first_example(shard.path, checks_data and not goes_on, goes_on) for shard in shards)
    example = next((found for found in looked_into if found is not None), {})
    features = chosen_features(example, settings["image"], settings["target"])

    def scanned(number: int) -> dict[str, Any]:
        shard = shards[number]
        source = UnpackedFile(shard.path).read if number in packed else scan_source(shard)
        return _scanned(shard, source, features, settings["check"], goes_on)

    with ThreadPoolExecutor(max(1, min(share_of_cores(), len(shards)))) as pool:
        scans = list(pool.map(scanned, range(len(shards))))
    if not scans:
        raise ValueError("no TFRecord files")
    lengths = [len(scan["offset"]) for scan in scans]
    facts: dict[str, Any] = {"features": features.named()}
    if damage is not None:
        damage += _damage(shards, scans)
    kind, targets = _targets(shards, scans)
    if targets.get("target") is not None:
        numbers, base = _based(targets["target"], features, settings["label_base"])
        targets["target"] = numbers
        facts["label_base"] = base
        facts["classes"] = _class_names(_classes(scans), features, numbers, base)
    starts, names = _names(shards, scans)
    columns = SampleColumns(
        np.repeat(np.arange(len(shards), dtype=np.uint32), lengths),
        _joined([scan["offset"] for scan in scans], np.int64),
        _joined([scan["length"] for scan in scans], np.int64),
        starts,
        names,
        **targets,
    )
    if settings["check"] == "always":
        columns.crc32c = _joined([scan["crc32c"] for scan in scans], np.uint32)
    return SampleIndex(FORMAT, shards, columns, target_kind=kind, facts=facts)


def _scanned(shard: Shard, source: ScanSource, features: Features, check: str, goes_on: bool) -> dict[str, Any]:
    names = (features.image, features.target or "", features.name or "", features.class_name or "")
    found = _core.scan_tfrecord(source, shard.size, *names, check != "never", check == "always", goes_on)
    if "error" not in found or goes_on:
        return found
    what, record, offset = found["error"]
    if offset == 0 and (compression := compression_of(shard.path)) is not None:
        raise ValueError(refusal(shard.path, compression))
    said = printable(what)
    hint = '; check="never" reads on all the same' if said.startswith("the checksum of its data") else ""
    raise ValueError(f"{shard.shown}: record {record}, at byte {offset}: {said}{hint}")


def _damage(shards: Sequence[Shard], scans: list[dict[str, Any]]) -> list[Damage]:
    """What the scans went past, and what ended them."""
    damage, before = [], 0
    for shard, scan in zip(shards, scans, strict=True):
        for record, offset, row, why in scan["bad"]:
            said = f"record {record}: {printable(why)}"
            damage.append(Damage(shard.shown, offset, said, None if row < 0 else before + row))
        if "error" in scan:
            what, record, offset = scan["error"]
            damage.append(Damage(shard.shown, offset, f"record {record}: {printable(what)}; nothing behind it is read"))
        before += len(scan["offset"])
    return damage


def _targets(shards: Sequence[Shard], scans: list[dict[str, Any]]) -> tuple[str, dict[str, Column]]:
    """The kind of all targets, and their columns. ValueError where they are not of one kind."""
    is_text = _joined([scan["has_label_text"] for scan in scans], np.uint8)
    counts = _joined([np.diff(scan["labels"][0]) for scan in scans], np.int64)
    has_none = (counts == 0) & (is_text == 0)
    if has_none.all():
        return "none", {}
    if has_none.any():
        raise ValueError(f"{_where(shards, scans, has_none)}: it has no label, and others have one")
    if is_text.any():
        if not is_text.all():
            raise ValueError(f"{_where(shards, scans, is_text != is_text[0])}: its label is of another kind")
        starts, texts = _joined_texts([scan["label_texts"] for scan in scans])
        return "text", {"target_starts": starts, "targets": texts}
    numbers = _joined([scan["labels"][1] for scan in scans], np.int64)
    if (counts == 1).all():
        return "int", {"target": numbers}
    ends = np.cumsum(counts).tolist()
    lists = [str(numbers[end - count : end].tolist()) for end, count in zip(ends, counts.tolist(), strict=True)]
    starts, texts = text_column(lists)
    return "json", {"target_starts": starts, "targets": texts}


def _where(shards: Sequence[Shard], scans: list[dict[str, Any]], which: Column) -> str:
    """The first of these records."""
    row = int(np.argmax(which))
    for shard, scan in zip(shards, scans, strict=True):
        if row < len(scan["offset"]):
            return f"{shard.shown}: record {row}, its image at byte {scan['offset'][row]}"
        row -= len(scan["offset"])
    raise IndexError(row)


def _classes(scans: list[dict[str, Any]]) -> dict[int, bytes] | None:
    """The names that came with labels as they are in the files; None: not one for each label."""
    merged: dict[int, bytes] = {}
    for scan in scans:
        if scan["classes"] is None:
            return None
        for number, name in scan["classes"].items():
            if merged.setdefault(number, name) != name:
                return None
    return merged


def _based(numbers: Column, features: Features, asked: int | None) -> tuple[Column, int]:
    """Labels counted from 0, and what they were counted from."""
    base = asked
    if base is None:
        base = features.label_base
    if base is None:
        looks_so = features.is_imagenet and len(numbers) > 0 and numbers.min() >= 1 and numbers.max() <= 1000
        base = 1 if looks_so else 0
    return numbers - base, base


def _class_names(names: dict[int, bytes] | None, features: Features, numbers: Column, base: int) -> list[str]:
    """Of 0, 1, …; empty where one is not known."""
    if features.classes is not None:
        return features.classes
    if names is None or len(numbers) == 0 or numbers.min() < 0:
        return []
    count = int(numbers.max()) + 1
    if len(names) != count or sorted(names) != list(range(base, base + count)):
        return []
    return [names[base + i].decode("utf-8", "surrogateescape") for i in range(count)]


def _names(shards: Sequence[Shard], scans: list[dict[str, Any]]) -> tuple[Column, Column]:
    """Those in the records, if each has one of its own; else the file's name and the record's number."""
    starts, texts = _joined_texts([scan["names"] for scan in scans])
    whole = texts.tobytes()
    given = {whole[begin:end] for begin, end in pairwise(starts.tolist())}
    if len(given) == len(starts) - 1 and b"" not in given:
        return starts, texts
    made = [
        f"{os.path.basename(shard.path)}/{record:08d}"
        for shard, scan in zip(shards, scans, strict=True)
        for record in np.setdiff1d(np.arange(scan["records"]), [row[0] for row in scan["bad"] if row[2] < 0]).tolist()
    ]
    return text_column(made)


def _joined_texts(parts: Sequence[tuple[Column, Column]]) -> tuple[Column, Column]:
    """Columns of texts one after the other."""
    starts, at = [np.zeros(1, np.int64)], 0
    for begins, _ in parts:
        starts.append(begins[1:] + at)
        at += int(begins[-1])
    return np.concatenate(starts), _joined([texts for _, texts in parts], np.uint8)


def _joined(columns: Sequence[Column], kind: Any) -> Column:
    return np.concatenate([np.zeros(0, kind), *columns])
