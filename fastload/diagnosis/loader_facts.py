"""What a loader is, in plain values; and what a batch weighs."""

from __future__ import annotations

from typing import Any

import torch

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
        "ours": type(loader).__module__.startswith("fastload."),
        "dataset": [type(layer).__qualname__ for layer in layers(loader.dataset)],
        "samples": length,
        "batch_size": loader.batch_size or getattr(loader.batch_sampler, "batch_size", None),
        "num_workers": loader.num_workers,
        "threads": loader._thread_count() if hasattr(loader, "_thread_count") else None,
        "prefetch_factor": loader.prefetch_factor,
        "pin_memory": bool(loader.pin_memory),
        "persistent_workers": loader.persistent_workers,
        "start_method": context.get_start_method() if hasattr(context, "get_start_method") else None,
        "collate": name_of(loader.collate_fn),
        "sampler": type(loader.sampler).__qualname__,
        "device": str(getattr(loader, "device", None) or ""),
        "torch_threads": torch.get_num_threads(),
    }


def size_of(batch: Any) -> tuple[int, int]:
    """(samples, bytes) of the tensors in a batch."""
    samples = size = 0
    look = [batch]
    for thing in look:
        if isinstance(thing, torch.Tensor):
            size += thing.numel() * thing.element_size()
            samples = samples or (len(thing) if thing.dim() else 1)
        elif isinstance(thing, dict):
            look += list(thing.values())[:32]
        elif isinstance(thing, (list, tuple)):
            look += list(thing)[:32]
    return samples, size
