"""What a data set holds: counts, classes, bytes, and, of a sample of its images, sizes, formats and chroma subsampling."""

from __future__ import annotations

import os
import statistics
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import PIL.Image

from fastload.datasets import IndexedSamples
from fastload.engine import ByteRange, Encoded, file_of, require_file

# Of how many images the headers are looked at, unless all are asked for.
LOOKED_AT = 10_000
_SAMPLINGS = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}


@dataclass
class Span:
    """Smallest, middle and largest."""

    min: float
    median: float
    max: float


@dataclass
class SourceInfo:
    """Of a data set.

    Attributes:
        samples, bytes: how many there are, and what their encoded images take.
        shards: how many files they lie in, None where each is a file of its own or in memory.
        shard_bytes: what these take.
        classes: samples of each class, by its name, or its target where there are no names; None without targets, or where
            targets are no classes.
        looked_at: of how many images the rest is, spread evenly.
        width, height, pixels: in pixels; pixels is their product.
        formats, modes, chroma: how many have each, in Pillow's words; chroma is that of JPEGs.
        unreadable: how many have no header that Pillow knows.
    """

    samples: int
    bytes: int
    shards: int | None = None
    shard_bytes: int | None = None
    classes: dict[str, int] | None = None
    looked_at: int = 0
    width: Span | None = None
    height: Span | None = None
    pixels: Span | None = None
    formats: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    chroma: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def describe(
    dataset: Any, *, look_at: int | None = LOOKED_AT, tell: Callable[[int], None] = lambda done: None
) -> SourceInfo:
    """What a map-style data set of this package, or a torchvision folder, holds.

    Args:
        look_at: of how many images the headers are read; None: of all.
        tell: is called with how many more are done.
    """
    count = len(dataset.samples)
    found = _counts(dataset, count)
    rows = (
        range(count) if look_at is None or look_at >= count else np.linspace(0, count - 1, look_at).astype(int).tolist()
    )
    sizes: list[tuple[int, int]] = []
    formats, modes, chroma = Counter[str](), Counter[str](), Counter[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers; `fastload verify` tells them
        for row in rows:
            tell(1)
            try:
                source = dataset.samples[row][0]
                require_file(source)
                with PIL.Image.open(file_of(source)) as image:
                    sizes.append(image.size)
                    formats[str(image.format)] += 1
                    modes[image.mode] += 1
                    if image.format in ("JPEG", "MPO"):
                        chroma[_sampling(image)] += 1
            except Exception:  # whatever Pillow raises for a header
                found.unreadable += 1
    found.looked_at = len(rows)
    if sizes:
        found.width = _span([width for width, _ in sizes])
        found.height = _span([height for _, height in sizes])
        found.pixels = _span([width * height for width, height in sizes])
    found.formats, found.modes, found.chroma = (dict(counter.most_common()) for counter in (formats, modes, chroma))
    return found


def _counts(dataset: Any, count: int) -> SourceInfo:
    samples = dataset.samples
    classes = _classes(dataset)
    if not isinstance(samples, IndexedSamples):
        return SourceInfo(count, sum(_size(samples[row][0]) for row in range(count)), classes=classes)
    index = samples.sample_index
    rows = samples.rows()
    size = int(index.columns.length[rows].sum())
    if index.columns.is_file is not None:
        size += sum(_size(index.source(int(row))) for row in rows[index.columns.is_file[rows] == 1])
    in_files = any(os.path.exists(shard.path) for shard in index.shards)
    shards = index.shards if in_files else None
    return SourceInfo(
        count,
        size,
        None if shards is None else len(shards),
        None if shards is None else sum(shard.size for shard in shards),
        classes,
    )


def _classes(dataset: Any) -> dict[str, int] | None:
    targets = getattr(dataset, "targets", None)
    if targets is None or not all(isinstance(target, int | str) for target in targets):
        return None
    names = list(getattr(dataset, "classes", []))
    counted = Counter(targets)
    named = {name: counted.pop(number, 0) for number, name in enumerate(names)}
    return {**named, **{str(target): counted[target] for target in sorted(counted, key=str)}}


def _size(source: Any) -> int:
    """In bytes; 0 of a file that is not there."""
    if isinstance(source, ByteRange):
        return source.length
    if isinstance(source, Encoded):
        return memoryview(source.data).nbytes
    try:
        return os.stat(source).st_size
    except (OSError, TypeError, ValueError):
        return 0


def _sampling(image: Any) -> str:
    """As J:a:b, or "gray"; what has another name keeps its factors, as 2x2,2x1,1x1."""
    layers = [(across, down) for _, across, down, _ in image.layer]
    if len(layers) == 1:
        return "gray"
    if all(layer == (1, 1) for layer in layers[1:3]) and layers[0] in _SAMPLINGS and layers[3:] in ([], [layers[0]]):
        return _SAMPLINGS[layers[0]]
    return ",".join(f"{across}x{down}" for across, down in layers)


def _span(numbers: list[int]) -> Span:
    return Span(min(numbers), statistics.median(numbers), max(numbers))
