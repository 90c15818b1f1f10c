"""The index of tars of samples, as WebDataset has them: one native scan a shard, several at once, targets read on the way."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastload import _core
from fastload.remote import redacted
from fastload.reports import printable
from fastload.shards.distinct_names import NUMBERED
from fastload.shards.index_file import text_column
from fastload.shards.index_place import kept_index
from fastload.shards.join_columns import ShardSamples, join_columns, samples_of_shard, texts_of
from fastload.shards.sample_index import SampleIndex, Shard
from fastload.shards.shard_bytes import scan_source, shard_of, shards_of

FORMAT = "tar"
IMAGES = "jpg;jpeg;png;webp"
# Fields whose text is an integer, and those that are text, by WebDataset's decoders.
NUMBERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})
TEXTS = frozenset({"txt", "text", "transcript"})
JSONS = frozenset({"json", "jsn"})
EMPTY = "{} is empty, and a tar has 1,024 bytes at least: it was not written to its end"
ON_DAMAGE = ("raise", "warn")
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}

Progress = Callable[[int], None]  # so many bytes of shards have been indexed since the last call


class TarError(ValueError):
    """A shard that is cut, damaged or no tar; the message names it, the offset and what is wrong there."""


@dataclass(frozen=True)
class TarFields:
    """Which members of a sample are looked for; of several the first that it has.

    Attributes:
        images: endings, in small letters.
        targets: (ending, key in the JSON or "").
    """

    images: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, image: str, target: str | None) -> TarFields:
        """From ``"jpg;png"`` and ``"cls;json:label"``. Raises ValueError."""
        images = tuple(name.strip().lower().lstrip(".") for name in image.split(";"))
        if not all(images):
            raise ValueError(f"image={image!r} names no member, as 'jpg;png' does")
        targets = []
        for one in [] if target is None else target.split(";"):
            ending, _, key = one.strip().partition(":")
            ending = ending.lower().lstrip(".")
            if ending not in NUMBERS | TEXTS | JSONS or bool(key) > (ending in JSONS):
                known = ", ".join(sorted(NUMBERS | TEXTS | JSONS))
                raise ValueError(f"target={target!r}: {one!r} is none of {known} or json:KEY")
            targets.append((ending, key))
        return cls(images, tuple(targets))

    def settings(self) -> dict[str, Any]:
        return {"image": list(self.images), "target": [list(target) for target in self.targets]}


def index_tars(
    paths: Sequence[str],
    fields: TarFields,
    *,
    on_damage: str = "raise",
    progress: Progress | None = None,
) -> SampleIndex:
    """The kept index of these shards, or a new one; shards that an older one knows are not scanned again.

    ``facts["shards"]`` has what was left out of each. Raises TarError, and OSError.
    """
    if on_damage not in ON_DAMAGE:
        raise ValueError(f"on_damage is one of {', '.join(ON_DAMAGE)}, not {on_damage!r}")

    def build(shards: Sequence[Shard], older: SampleIndex | None) -> SampleIndex:
        return _built(shards, older, fields, on_damage, progress)

    return kept_index(FORMAT, shards_of(paths), {**fields.settings(), "on_damage": on_damage}, build)


def _built(
    shards: Sequence[Shard],
    older: SampleIndex | None,
    fields: TarFields,
    on_damage: str,
    progress: Progress | None,
) -> SampleIndex:
    known: dict[Shard, ShardSamples] = {}
    if older is not None and not older.facts.keys() & {"named_by_shard", NUMBERED}:
        facts = older.facts.get("shards", [{}] * len(older.shards))
        known = {shard: samples_of_shard(older, n, facts[n]) for n, shard in enumerate(older.shards)}
        for part in known.values():
            if part.facts.get("names_classes"):
                part.facts = {**part.facts, "classes": older.facts["classes"]}

    def samples(shard: Shard) -> ShardSamples:
        return known[shard] if shard in known else scan_tar(shard, fields, on_damage)

    parts = []
    with ThreadPoolExecutor(min(len(shards), 2 * (os.cpu_count() or 1))) as threads:
        try:
            for shard, part in zip(shards, threads.map(samples, shards), strict=True):
                parts.append(part)
                if progress is not None:
                    progress(shard.size)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    facts = {"classes": _classes(shards, parts), "shards": [_without_classes(part.facts) for part in parts]}
    if _names_repeat(parts):
        facts["named_by_shard"] = True
        for shard, part in zip(shards, parts, strict=True):
            stem = os.path.basename(shard.path).partition(".")[0].encode("utf-8", "surrogateescape")
            names = [stem + b"/" + name for name in texts_of(part.names)]
            part.names = text_column([name.decode("utf-8", "surrogateescape") for name in names])
    columns, kind = join_columns(parts)
    index = SampleIndex(FORMAT, shards, columns, target_kind=kind, facts=facts)
    if len(index) == 0:
        raise TarError(f"{shards[0].shown}: {_nothing(parts, fields)}")
    return index


def _without_classes(facts: Mapping[str, Any]) -> dict[str, Any]:
    """They stand once in the index."""
    return {name: value for name, value in facts.items() if name != "classes"} | (
        {"names_classes": True} if "classes" in facts else {}
    )


def _names_repeat(parts: Sequence[ShardSamples]) -> bool:
    """Whether shards call different samples the same, as where each counts its own from 0."""
    seen: set[bytes] = set()
    for part in parts:
        names = frozenset(texts_of(part.names))
        if not seen.isdisjoint(names):
            return True
        seen |= names
    return False


def scan_tar(shard: Shard, fields: TarFields, on_damage: str = "raise") -> ShardSamples:
    """One shard. Raises TarError, and OSError."""
    source = scan_source(shard)
    endings = [(ending, ending in NUMBERS) for ending, _ in fields.targets]
    if shard.size == 0:
        if on_damage == "raise":
            raise TarError(EMPTY.format(shard.shown))
        nothing = np.zeros(0, np.int64)
        facts: dict[str, Any] = {"damaged_at": 0, "damage": EMPTY.format(shard.shown)}
        return ShardSamples(nothing, nothing, text_column([]), facts=facts)
    found = _core.scan_tar(source, shard.size, list(fields.images), endings)
    counted = ("without_image", "without_target", "returned", "unnamed", "not_files", "links")
    facts = {name: found[name] for name in counted}
    facts = {name: count for name, count in facts.items() if count}
    if found["end"] == "unmarked":
        facts["unclosed"] = 1
    for name in ("first_without_image", "first_without_target", "first_links"):
        if found[name]:
            facts[name] = printable(found[name])
    if found["end"] not in ("marked", "unmarked"):
        message = f"{shard.shown} is {found['end']} at byte {found['position']}: {printable(found['reason'])}"
        if said := _why_no_tar(shard, found):
            raise TarError(said)
        if on_damage == "raise":
            raise TarError(message)
        facts["damaged_at"] = found["position"]
        facts["damage"] = f"{message}; {len(found['offset'])} samples before it are used"
    part = ShardSamples(found["offset"], found["length"], found["name"], facts=facts)
    if found["about"]:
        _read_about(shard, found, part, facts)
    _set_targets(shard, found, part, fields)
    return part


def is_meta(name: str) -> bool:
    """Whether a member is of no sample because it says something about the tar, as ``__meta__/x``."""
    first = name.partition("/")[0]
    return len(first) >= 4 and first.startswith("__") and first.endswith("__")


def looks_like_tar(path: str) -> bool:
    """Whether a file begins as a tar does, or as one that is compressed and is named so. Raises OSError."""
    with open(path, "rb") as file:
        begins = file.read(512)
    if begins.startswith(tuple(_COMPRESSED)):
        return ".tar." in os.path.basename(path) or path.endswith((".tgz", ".tbz2", ".txz"))
    found = _core.scan_tar(lambda offset, length: begins[offset : offset + length], 512, [], [])
    return bool(begins) and not (
        found["end"] in ("damaged", "truncated") and found["position"] == 0 and _is_no_header(found)
    )


def target_of_tars(paths: Sequence[str], on_damage: str = "raise") -> str | None:
    """Which field of the samples is their target: the first of ``cls``, ``json:label`` and ``txt`` that all of them in the first
    shard with any have; None if they have none. Raises TarError, and OSError."""
    shards = (shard_of(path) for path in paths)
    shard = next((shard for shard in shards if len(scan_tar(shard, TarFields.of(IMAGES, None), on_damage))), None)
    if shard is None:
        return None
    for target in ("cls", "json:label", "txt"):
        with contextlib.suppress(TarError):
            part = scan_tar(shard, TarFields.of(IMAGES, target), on_damage)
            if len(part) and "without_target" not in part.facts:
                return target
    return None


def _is_no_header(found: dict[str, Any]) -> bool:
    return bool(found["reason"].startswith((b"no tar header", b"a header is")))


def _why_no_tar(shard: Shard, found: dict[str, Any]) -> str:
    """Of a file that is something else from the beginning; empty for a tar."""
    if found["position"]:
        return ""
    source = scan_source(shard)
    if isinstance(source, str):
        with open(source, "rb") as file:
            begins = file.read(8)
    else:
        begins = source(0, 8)
    for magic, name in _COMPRESSED.items():
        if begins.startswith(magic):
            return (
                f"{shard.shown} is compressed ({name}): its samples cannot be had in any order. Unpack it once, which makes images "
                "no larger, or read it from the beginning to the end with WebDataset.stream"
            )
    return f"{shard.shown} is no tar" if _is_no_header(found) else ""


def _read_about(shard: Shard, found: dict[str, Any], part: ShardSamples, facts: dict[str, Any]) -> None:
    """Of a tar that this package wrote: classes, and what the samples were called before."""
    try:
        facts["classes"] = [str(name) for name in json.loads(found["about"])["classes"] or []]
        names = [str(json.loads(note)["filename"]) for note in texts_of(found["note"])]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TarError(f"{shard.shown} says that fastload wrote it, but not what it holds: {error!r}") from error
    part.names = text_column(names)


def _set_targets(shard: Shard, found: dict[str, Any], part: ShardSamples, fields: TarFields) -> None:
    if not fields.targets:
        return
    used = set(np.unique(found["field"]).tolist())
    kinds = {_kind(fields.targets[number]) for number in used}
    if kinds <= {"int"}:
        part.target_kind, part.target = "int", found["number"]
    elif kinds == {"text"}:
        part.target_kind, part.texts = "text", found["text"]
    else:
        values = _values(shard, found, fields)
        if all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
            part.target_kind, part.target = "int", np.array(values, np.int64)
        elif kinds == {"json"}:
            part.target_kind, part.texts = "json", found["text"]  # as it stands in the shard
        else:
            part.target_kind, part.texts = "json", text_column([json.dumps(value) for value in values])


def _kind(target: tuple[str, str]) -> str:
    ending, key = target
    return "int" if ending in NUMBERS else "text" if ending in TEXTS else "value" if key else "json"


def _values(shard: Shard, found: dict[str, Any], fields: TarFields) -> list[Any]:
    values: list[Any] = []
    for row, (field, number, text) in enumerate(
        zip(found["field"].tolist(), found["number"].tolist(), texts_of(found["text"]), strict=True)
    ):
        ending, key = fields.targets[field]
        if ending in NUMBERS:
            values.append(number)
            continue
        try:
            if ending in TEXTS:
                values.append(text.decode("utf-8", "surrogateescape"))
            else:
                value = json.loads(text)
                values.append(value[key] if key else value)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            name = printable(texts_of(found["name"])[row])
            what = f"has no {key!r}" if isinstance(error, (KeyError, TypeError)) else f"cannot be read: {error}"
            raise TarError(f"{shard.shown}, sample {name}: its {ending} {what}") from error
    return values


def _classes(shards: Sequence[Shard], parts: Sequence[ShardSamples]) -> list[str]:
    named = [
        (shard.path, part.facts["classes"])
        for shard, part in zip(shards, parts, strict=True)
        if "classes" in part.facts
    ]
    for path, classes in named[1:]:
        if classes != named[0][1]:
            raise TarError(f"{path} has other classes than {named[0][0]}: they are not shards of one data set")
    return list(named[0][1]) if named else []


def _nothing(parts: Sequence[ShardSamples], fields: TarFields) -> str:
    left_out = summary_of([part.facts for part in parts])
    looked_for = f"an image ({', '.join(fields.images)})"
    if fields.targets:
        looked_for += f" and a target ({', '.join(':'.join(filter(None, target)) for target in fields.targets)})"
    return f"no sample with {looked_for}" + (f"; {left_out}" if left_out else ": the shards are empty")


def unclosed(shards: Sequence[str]) -> str:
    """What is said of shards that end without the blocks of zeros that every tar writer puts there."""
    return (
        f"{len(shards)} shards end without the two blocks that close a tar, as {redacted(shards[0])}: they are read like whole "
        "ones, as GNU tar and Python's tarfile do; but if they were cut, between two members, samples are missing"
    )


def summary_of(facts: Sequence[Any]) -> str:
    """What was left out of shards, in one line; empty if nothing."""
    said = []

    def first(name: str) -> str:
        return next((str(one[name]) for one in facts if name in one), "")

    for name, what in (("without_image", "have no image"), ("without_target", "have no target")):
        if count := sum(one.get(name, 0) for one in facts):
            said.append(f"{count} samples {what} (the first: {first(f'first_{name}')!r})")
    if count := sum(one.get("links", 0) for one in facts):
        said.append(
            f"{count} members are links, which have no data of their own (the first: {first('first_links')!r}): "
            "tar --dereference --hard-dereference writes the files that they stand for"
        )
    if said and (count := sum(one.get("returned", 0) for one in facts)):
        said.append(
            f"{count} keys come back behind other samples: members of a sample must follow each other (tar --sort=name)"
        )
    return "; ".join(said)
