"""Loaders over a script's own data set, collate function and sampler, with other settings: what ``fastload tune`` tries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch.utils.data
from torch.utils.data import IterableDataset

from fastload.diagnosis.loader_facts import is_ours
from fastload.settings_file import with_settings

_OUR_OPTIONS = ("rng", "on_error", "max_errors", "device", "decode", "dtype", "memory_format", "cache", "cache_bytes")


@dataclass(frozen=True)
class Choice:
    """Settings that are tried.

    Attributes:
        name: of what is new in it.
        ours: whether fastload's loader has them, or torch's.
        settings: by the names of the constructor's parameters.
        own: the script's own loader, as it is.
    """

    name: str
    ours: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False

    def also(self, name: str, *, ours: bool | None = None, **settings: Any) -> Choice:
        """The same with something more."""
        return Choice(name, self.ours if ours is None else ours, with_settings({**self.settings, **settings}, {}))

    @property
    def workers(self) -> int:
        """Processes, or what stands for them."""
        return int(self.settings.get("num_workers", 0))


def as_it_is(loader: Any) -> Choice:
    """The script's own loader."""
    settings: dict[str, Any] = {"num_workers": loader.num_workers}
    if loader.num_workers and loader.prefetch_factor is not None:
        settings["prefetch_factor"] = loader.prefetch_factor
    settings.update((name, True) for name in ("persistent_workers", "pin_memory") if getattr(loader, name))
    if getattr(loader, "threads", None) is not None:
        settings["threads"] = loader.threads
    return Choice("as it is", is_ours(loader), settings, own=True)


def made_like(loader: Any, choice: Choice) -> Any:
    """A loader with the settings of a choice; the given one where it is chosen as it is."""
    if choice.own:
        return loader
    kind: Any = torch.utils.data.DataLoader
    options: dict[str, Any] = {
        "collate_fn": loader.collate_fn,
        "worker_init_fn": loader.worker_init_fn,
        "multiprocessing_context": loader.multiprocessing_context,
        "timeout": loader.timeout,
        **_batches(loader),
    }
    if choice.ours:
        from fastload.loader import DataLoader as kind

        if is_ours(loader):
            options.update((name, getattr(loader, name)) for name in _OUR_OPTIONS)
    return kind(loader.dataset, **with_settings(choice.settings, options))


class SameBatch:
    """Gives one batch again and again, without end: what a training step takes with nobody who loads beside it.

    With CUDA the batch is on the device already.
    """

    num_workers = 0
    persistent_workers = False

    def __init__(self, batch: Any) -> None:
        self._batch = _on_device(batch) if torch.cuda.is_available() and torch.cuda.is_initialized() else batch

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(self._batch)


def _on_device(batch: Any) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to("cuda")
    if isinstance(batch, dict):
        return {name: _on_device(part) for name, part in batch.items()}
    if type(batch) in (list, tuple):
        return type(batch)(map(_on_device, batch))
    return batch


def _batches(loader: Any) -> dict[str, Any]:
    """Which samples its batches have: drawn by the sampler that the script has made."""
    if isinstance(loader.dataset, IterableDataset):
        return {"batch_size": loader.batch_size, "drop_last": loader.drop_last}
    if loader.batch_size is not None:
        return {"batch_size": loader.batch_size, "sampler": loader.sampler, "drop_last": loader.drop_last}
    if loader.batch_sampler is not None:
        return {"batch_sampler": loader.batch_sampler}
    return {"batch_size": None, "sampler": loader.sampler}


def can_be_native(loader: Any) -> bool:
    """Whether fastload's native threads would make the batches of such a loader."""
    from fastload.batches import require_native
    from fastload.reports import NotNativeError

    try:
        require_native(made_like(loader, Choice("", True, {"num_workers": 1})))
    except (NotNativeError, ValueError, TypeError):
        return False
    return True
