"""Columns of several shards as those of one source, and those of one shard out of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastload.shards.index_file import Column, text_column
from fastload.shards.sample_index import SampleColumns, SampleIndex

Text = tuple[Column, Column]  # where each begins, and the bytes of all


@dataclass
class ShardSamples:
    """The samples of one shard.

    Attributes:
        offset, length, names: as in SampleColumns.
        target_kind, target, texts: int64, or texts of kind "text" or "json", or neither.
        facts: what was found beside them, JSON.
    """

    offset: Column
    length: Column
    names: Text
    target_kind: str = "none"
    target: Column | None = None
    texts: Text | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offset)


def join_columns(parts: Sequence[ShardSamples]) -> tuple[SampleColumns, str]:
    """The columns of all, and the kind of their targets: JSON where kinds differ."""
    kinds = {part.target_kind for part in parts if len(part)}
    kind = kinds.pop() if len(kinds) == 1 else "json" if kinds else "none"
    names = _joined_text([part.names for part in parts])
    target = texts = None
    if kind == "int":
        target = np.concatenate([part.target for part in parts if part.target is not None and len(part)])
    elif kind != "none":
        texts = _joined_text([_as_kind(part, kind) for part in parts if len(part)])
    columns = SampleColumns(
        np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part) for part in parts]),
        np.concatenate([np.zeros(0, np.int64), *(part.offset for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.length for part in parts)]),
        *names,
        target,
        *(texts or (None, None)),
    )
    return columns, kind


def samples_of_shard(index: SampleIndex, number: int, facts: Mapping[str, Any]) -> ShardSamples:
    """Of one of its shards; an index has its samples shard by shard."""
    columns = index.columns
    first, last = (int(at) for at in np.searchsorted(columns.shard, [number, number + 1]))
    texts = None
    if columns.target_starts is not None and columns.targets is not None:
        texts = _rows(columns.target_starts, columns.targets, first, last)
    return ShardSamples(
        columns.offset[first:last],
        columns.length[first:last],
        _rows(columns.name_starts, columns.names, first, last),
        index.target_kind,
        None if columns.target is None else columns.target[first:last],
        texts,
        facts,
    )


def texts_of(text: Text) -> list[bytes]:
    starts, data = text[0].tolist(), text[1].tobytes()
    return [data[first:last] for first, last in itertools.pairwise(starts)]


def _rows(starts: Column, text: Column, first: int, last: int) -> Text:
    return starts[first : last + 1] - starts[first], text[int(starts[first]) : int(starts[last])]


def _as_kind(part: ShardSamples, kind: str) -> Text:
    if part.texts is not None and part.target_kind == kind:
        return part.texts
    if part.texts is not None:  # texts among JSON
        return text_column([json.dumps(text.decode("utf-8", "surrogateescape")) for text in texts_of(part.texts)])
    values = [None] * len(part) if part.target is None else part.target.tolist()
    return text_column([json.dumps(value) for value in values])


def _joined_text(texts: Sequence[Text]) -> Text:
    ends = np.cumsum([0, *(int(starts[-1]) for starts, _ in texts)])
    moved = [starts[1:] + before for (starts, _), before in zip(texts, ends, strict=False)]
    starts = np.concatenate([np.zeros(1, np.int64), *moved])
    return starts, np.concatenate([np.zeros(0, np.uint8), *(data for _, data in texts)])
