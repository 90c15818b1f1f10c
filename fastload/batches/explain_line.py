"""``fastload run --explain``: one line on standard error for each loader, when it is first iterated over."""

from __future__ import annotations

import os
import sys

import PIL.Image
from torch.utils.data import TensorDataset

from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.native_or_stock import Mode, Way
from fastload.batches.not_native_reasons import reasons, users_line, warn_if_lost, with_remedy
from fastload.images import expected_gain
from fastload.transforms import name_of

_VARIABLE = "FASTLOAD_EXPLAIN"  # of the environment: fastload.installation.EXPLAIN_VARIABLE
# What the ways gained over torch's loader on photos (docs/benchmarks.md).
_IN_THREADS = "native threads make the batches, 4 to 5 times as fast as torch's loader"
_NATIVE_SAMPLES = "{who} makes the batches, of native samples, about twice as fast as of Pillow's"
_WITH_TAIL = "{who} makes the batches, and of each sample what comes before {step} is native: 1.3 times as fast or more"
_LAZY = (
    "{who} makes the batches{because}; JPEGs that its data set opens with Pillow are decoded natively: {gain} as fast"
)
_STOCK = "{who} makes the batches, as fast as without fastload"


def say_how(settings: LoaderSettings, mode: Mode, told: frozenset[str]) -> frozenset[str]:
    """At the beginning of an epoch: a warning where images do not come from native threads, or that line.

    Returns:
        All that the loader has been told by now.
    """
    if not os.environ.get(_VARIABLE):
        return warn_if_lost(settings, mode, told)
    if _VARIABLE not in told and sys.stderr is not None:
        sys.stderr.write(line_of(settings, mode) + "\n")
        sys.stderr.flush()
    return told | {_VARIABLE}


def line_of(settings: LoaderSettings, mode: Mode) -> str:
    """All of it in one line."""
    rank = f" (rank {os.environ['RANK']})" if "RANK" in os.environ else ""
    loader = f"{type(settings.dataset).__name__}, batch_size={settings.batch_size}, num_workers={settings.num_workers}"
    because = "; ".join(with_remedy(settings, reason) for reason in reasons(settings, mode))
    tail = mode.reading.tail if mode.reading is not None else []
    if mode.way is Way.stock:
        without_images = isinstance(settings.dataset, (range, TensorDataset))
        how = _LAZY if _is_lazy() and not without_images else _STOCK
    elif not mode.in_workers:
        how = _IN_THREADS
    else:
        how = _WITH_TAIL if tail else _NATIVE_SAMPLES
    who = "torch's loader, in its workers," if settings.num_workers else "torch's loader"
    gain = expected_gain(settings.dataset) if how is _LAZY else ""
    because = because and f", because {because}"
    said = how.format(who=who, step=name_of(tail[0]) if tail else "", gain=gain, because=because)
    text = f"fastload{rank}: {users_line()}: {loader}: {said}{'' if how is _LAZY else because}"
    return " ".join(text.split())


def _is_lazy() -> bool:
    """Whether ``install()`` has Pillow open JPEGs as our lazy images."""
    factory, _ = PIL.Image.OPEN.get("JPEG", (None, None))
    return str(getattr(factory, "__module__", "")).startswith("fastload.")
