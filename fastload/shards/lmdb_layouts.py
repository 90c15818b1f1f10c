"""What the values of an LMDB file are, told by looking at its keys and at the first value; and where in each value the image is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastload import _core
from fastload.shards.index_file import BadIndexError, Column, index_of_bytes, text_column, texts_of
from fastload.shards.lmdb_values import LmdbValues

OWN_KEY = b"__fastload__"
COUNT_KEY = b"num-samples"
# Beside the samples, in databases of many makers: pickled lists and counts, which are not needed.
_BESIDE = (b"__keys__", b"__len__", b"__metadata__", OWN_KEY)
_CAFFE_NAME = re.compile(rb"^\d{8,10}_(.+)$", re.DOTALL)
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_LONGEST_HEAD = 16
# Fields of Caffe's Datum.
_CHANNELS, _HEIGHT, _WIDTH, _DATA, _LABEL, _FLOATS, _ENCODED = range(1, 8)
_OF_DATUM = frozenset(range(1, 8))


class UnknownLayout(ValueError):
    """Values that are read only with ``read=``."""


@dataclass
class Found:
    """The samples of one database.

    Attributes:
        layout: "fastload", "numbered text", "datum" or "images".
        names: of each sample.
        offset, length: int64 [n], of the images in the file.
        target_kind, targets: one a sample; "none" and nothing.
        classes: their names, or nothing.
    """

    layout: str
    names: list[str]
    offset: Column
    length: Column
    target_kind: str = "none"
    targets: list[Any] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


def is_image(head: bytes) -> bool:
    """Whether bytes that begin so are an encoded image."""
    return head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def found_layout(values: LmdbValues) -> Found:
    """Raises UnknownLayout, which says what was seen, and ValueError for values that are not what they should be."""
    if OWN_KEY in values:
        return _own(values)
    if COUNT_KEY in values:
        return _numbered(values)
    keys = [key for key in in_order(values) if key not in _BESIDE]
    rows = np.array([values.row(key) for key in keys], np.int64)
    if len(keys) == 0:
        return Found("images", [], rows, rows)
    head = values.read(int(rows[0]), _LONGEST_HEAD)
    if is_image(head):
        return _images(values, keys, rows)
    if _is_datum(values.read(int(rows[0]))):
        return _datums(values, keys, rows)
    raise UnknownLayout(f"{values.path}: {_described(keys[0], head, values.read(int(rows[0])))}")


def in_order(keys: Iterable[bytes]) -> list[bytes]:
    """Keys of samples that are all numbers count as such: 2 before 10, not in LMDB's order."""
    found = list(keys)
    samples = [key for key in found if key not in _BESIDE]
    if not all(key.isdigit() for key in samples):
        return found
    return [key for key in found if key in _BESIDE] + sorted(samples, key=int)


def _own(values: LmdbValues) -> Found:
    """What write_lmdb writes."""
    try:
        header, columns = index_of_bytes(values.path, values[OWN_KEY])
        names = texts_of(columns["name_starts"], columns["names"])
        kind, classes = str(header["target"]), [str(name) for name in header["classes"]]
        targets: list[Any] = []
        if kind == "int":
            targets = columns["target"].tolist()
        elif kind != "none":
            targets = texts_of(columns["target_starts"], columns["targets"])
            targets = [json.loads(one) for one in targets] if kind == "json" else targets
        rows = np.array([values.row(b"%08d" % number) for number in range(len(names))], np.int64)
    except (KeyError, TypeError, ValueError, BadIndexError) as error:
        raise ValueError(f"{values.path} is damaged: what it says of its samples does not hold: {error}") from error
    if len(values) != len(names) + 1 or (kind != "none" and len(targets) != len(names)):
        raise ValueError(
            f"{values.path} is damaged: {len(values) - 1} values, {len(names)} names, {len(targets)} targets"
        )
    return Found("fastload", names, values.offset[rows], values.length[rows], kind, targets, classes)


def _numbered(values: LmdbValues) -> Found:
    """Text recognition: image-000000001 with label-000000001, counted from 1."""
    said = bytes(values[COUNT_KEY])
    if not said.isdigit() or int(said) > len(values):
        raise ValueError(f"{values.path}: num-samples is {said[:20]!r}, with {len(values)} values")
    names = [f"image-{number:09d}" for number in range(1, int(said) + 1)]
    labels = [f"label-{number:09d}".encode() for number in range(1, int(said) + 1)]
    missing = [name for name in names if name.encode() not in values]
    if missing:
        raise ValueError(f"{values.path}: num-samples is {int(said)}, and there is no {missing[0]}")
    rows = np.array([values.row(name.encode()) for name in names], np.int64)
    has_labels = [label in values for label in labels]
    found = Found("numbered text", names, values.offset[rows], values.length[rows])
    if any(has_labels):
        if not all(has_labels):
            raise ValueError(
                f"{values.path}: there is no {labels[has_labels.index(False)].decode()}, and others have labels"
            )
        found.target_kind = "text"
        found.targets = [str(values[label], "utf-8", "surrogateescape") for label in labels]
    return found


def _images(values: LmdbValues, keys: list[bytes], rows: Column) -> Found:
    """Each value is an image: LSUN, BasicSR and others."""
    return Found("images", [_name(key) for key in keys], values.offset[rows], values.length[rows])


def _datums(values: LmdbValues, keys: list[bytes], rows: Column) -> Found:
    """Caffe's: the image within a protobuf, with its label."""
    count = len(keys)
    found = Found("datum", [], np.zeros(count, np.int64), np.zeros(count, np.int64), "int")
    for i, (key, row) in enumerate(zip(keys, rows.tolist(), strict=True)):
        value = values.read(row)
        place = f"{values.path}: value {key!r}, at byte {values.offset[row]}"
        fields = _datum_fields(value)
        if fields is None:
            raise ValueError(f"{place}, is no Datum of Caffe, or a damaged one, and the first value is one")
        begin, end = fields.get(_DATA, (0, 0))
        if not fields.get(_ENCODED) and not is_image(value[begin : begin + _LONGEST_HEAD]):
            size = f"{fields.get(_CHANNELS, 0)} x {fields.get(_HEIGHT, 0)} x {fields.get(_WIDTH, 0)}"
            raise UnknownLayout(
                f"{place}: a Datum of Caffe with raw pixels ({size}, channel after channel, in Caffe's order blue, green, red), "
                "not with an encoded image"
            )
        found.offset[i], found.length[i] = int(values.offset[row]) + begin, end - begin
        label = int(fields.get(_LABEL, 0))
        found.targets.append(label - (1 << 64) if label >> 63 else label)
        matched = _CAFFE_NAME.match(key)
        found.names.append(_name(matched[1] if matched else key))
    if len(set(found.names)) < count:
        found.names = [_name(key) for key in keys]
    found.classes = _classes_of_folders(found)
    return found


def _classes_of_folders(found: Found) -> list[str]:
    """The first folder of each name, where each label has one of its own, and all from 0 on have one."""
    names: dict[int, str] = {}
    for name, target in zip(found.names, found.targets, strict=True):
        if "/" not in name or names.setdefault(target, name.partition("/")[0]) != name.partition("/")[0]:
            return []
    count = len(names)
    is_whole = sorted(names) == list(range(count)) and len(set(names.values())) == count
    return [names[i] for i in range(count)] if is_whole else []


def _datum_fields(value: bytes) -> dict[int, Any] | None:
    """The last of each field; of bytes where they begin and end. None: no protobuf."""
    try:
        return dict(_core.protobuf_fields(value))
    except ValueError:
        return None


def _is_datum(value: bytes) -> bool:
    fields = _datum_fields(value)
    return fields is not None and {_DATA} <= fields.keys() <= _OF_DATUM and isinstance(fields[_DATA], tuple)


def _described(key: bytes, head: bytes, value: bytes) -> str:
    seen = f"the value of key {key[:40]!r} begins with {head!r}"
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5" and value.endswith(b"."):
        return f"{seen}: a Python pickle, which is never loaded here, because loading one runs whatever it says"
    return f"{seen}, which is no image and no layout that is known"


def _name(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def target_columns(kind: str, targets: list[Any]) -> dict[str, Column]:
    """Of SampleColumns."""
    if kind == "none":
        return {}
    if kind == "int":
        return {"target": np.array(targets, np.int64)}
    texts = [json.dumps(target, sort_keys=True) for target in targets] if kind == "json" else targets
    starts, text = text_column(texts)
    return {"target_starts": starts, "targets": text}


def kind_of_targets(targets: list[Any]) -> str:
    """ "int", "text", "none" or "json", whichever holds all of them."""
    if all(target is None for target in targets):
        return "none"
    if all(isinstance(target, int) and not isinstance(target, bool) for target in targets):
        return "int"
    return "text" if all(isinstance(target, str) for target in targets) else "json"
