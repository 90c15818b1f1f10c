"""This package's options of a loader: what each may be."""

from __future__ import annotations

from typing import Any

import torch

_RNGS = ("stock", "index")
_POLICIES = ("raise", "skip", "replace")


def check_options(*, threads: Any, rng: Any, on_error: Any, memory_format: Any) -> None:
    """Raises ValueError for one that cannot be."""
    if threads not in (None, "auto") and (type(threads) is not int or threads < 1):
        raise ValueError(f'threads should be a positive integer, "auto" or None, but got threads={threads!r}')
    if rng not in _RNGS:
        raise ValueError(f"rng should be one of {_RNGS}, but got rng={rng!r}")
    if on_error not in _POLICIES:
        raise ValueError(f"on_error should be one of {_POLICIES}, but got on_error={on_error!r}")
    if memory_format not in (None, torch.contiguous_format, torch.channels_last):
        raise ValueError(f"memory_format should be contiguous or channels_last, but got {memory_format!r}")
