"""What a loader is, in plain values; and what a batch weighs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, IterableDataset

from fastload.diagnosis.stage_hooks import layers, name_of


def describe(loader: Any) -> dict[str, Any]:
    """Of any ``DataLoader``; nothing of its data is touched."""
    try:
        length: int | None = len(loader.dataset)
    except Exception:  # an iterable one, or somebody's
        length = None
    context: Any = getattr(loader, "multiprocessing_context", None)
    return {
        "class": f"{type(loader).__module__}.{type(loader).__qualname__}",
        "ours": is_ours(loader),
        "dataset": [type(layer).__qualname__ for layer in layers(loader.dataset)],
        "items_by": _items_by([*layers(loader.dataset)][-1]),
        "samples": length,
        "batch_size": loader.batch_size or getattr(loader.batch_sampler, "batch_size", None),
        "num_workers": loader.num_workers,
        "threads": loader._thread_count() if hasattr(loader, "_thread_count") else None,
        "prefetch_factor": loader.prefetch_factor,
        "pin_memory": bool(loader.pin_memory),
        "persistent_workers": loader.persistent_workers,
        "start_method": context.get_start_method() if hasattr(context, "get_start_method") else None,
        "collate": name_of(loader.collate_fn),
        "sampler": _sampler(loader),
        "device": str(getattr(loader, "device", None) or ""),
        "torch_threads": torch.get_num_threads(),
    }


def _items_by(dataset: Any) -> str:
    """The method that torch asks for samples."""
    if isinstance(dataset, IterableDataset):
        return "__iter__"
    return "__getitems__" if callable(getattr(dataset, "__getitems__", None)) else "__getitem__"


def _sampler(loader: Any) -> str:
    """Of a script's own batches of indices, the class that makes them."""
    batches = type(loader.batch_sampler)
    return (type(loader.sampler) if batches in (BatchSampler, type(None)) else batches).__qualname__


def is_ours(loader: Any) -> bool:
    """Whether it is one of fastload's loaders."""
    return type(loader).__module__.startswith("fastload.")


def size_of(batch: Any) -> tuple[int, int]:
    """(samples, bytes) of the tensors and arrays in a batch; of a list without any, its length."""
    samples = size = 0
    look = [batch]
    for thing in look:
        if isinstance(thing, torch.Tensor):
            size += thing.numel() * thing.element_size()
            samples = samples or (len(thing) if thing.dim() else 1)
        elif isinstance(thing, np.ndarray):
            size += thing.nbytes
            samples = samples or (len(thing) if thing.ndim else 1)
        elif isinstance(thing, dict):
            look += list(thing.values())[:32]
        elif isinstance(thing, (list, tuple)):
            look += list(thing)[:32]
    if not samples and isinstance(batch, (list, tuple)):
        samples = len(batch)
    return samples, size
