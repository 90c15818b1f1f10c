"""The name by which a sample is reported, and left out: its name in the shards, or its path."""

from __future__ import annotations

from typing import Any

from fastload.datasets.exclude_lists import path_below
from fastload.datasets.sharded_images import IndexedSamples
from fastload.engine import name_of


def sample_name(dataset: Any, index: int) -> str:
    """Of a data set that names files or ranges; of a class folder the path below its root, with "/"."""
    samples = dataset.samples
    if isinstance(samples, IndexedSamples):
        return samples.name(index)
    source = samples[index][0]
    name, root = name_of(source), getattr(dataset, "root", None)
    if name is None:
        return repr(source)
    return name if root is None else path_below(name, root)
