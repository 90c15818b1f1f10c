"""``decode="auto"``: which way of decoding is fastest here, by a short measurement of each."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from fastload.batches import LoaderSettings
from fastload.gpu.dali_pipeline import MOST_FILES
from fastload.gpu.decode_options import GpuDecode
from fastload.gpu.decode_resources import DecodeResources
from fastload.reports import FastloadError


@dataclass(frozen=True)
class DecodeRates:
    """What "auto" found: images a second of each way, and the best; None: the CPU alone."""

    rates: dict[str, float]
    best: GpuDecode | None

    def __str__(self) -> str:
        rates = ", ".join(f"{how} {rate:.0f}" for how, rate in self.rates.items())
        if not self.rates:
            return "cpu, since no file could be read to measure others"
        return f"{self.best.how if self.best else 'cpu'}, the fastest of {rates} images/s"


class HoldsDecoding(Protocol):
    """Where a loader that is measured keeps what decodes for it."""

    decoding: DecodeResources | None


# (who decodes, lists of indices, whose decoder is warm) -> a loader's batches, and where it keeps what decodes.
Load = Callable[[str | GpuDecode, Iterable[list[int]], DecodeResources | None], tuple[Iterable[Any], HoldsDecoding]]

# A measurement of one way: first DALI comes up, and its memory, then it counts. On an H100 with 16 cores the first 12,000
# images came 15 % slower than the next.
_WARM_SECONDS = 2.0
_TIMED_SECONDS = 1.5


def measure(settings: LoaderSettings, decode: GpuDecode, load: Load) -> tuple[DecodeRates, DecodeResources | None]:
    """Runs each way over batches of the data set; also what decodes from then on, if that is not the engine alone.

    ``load`` must draw from a generator of its own alone, and leave the loader's samplers alone.
    """
    rates: dict[str, float] = {}
    on_gpu = {how: replace(decode, how=how) for how in ("gpu", "hybrid")}
    ways: dict[str, str | GpuDecode] = {"cpu": "cpu", **on_gpu}
    decoding = None
    for how, way in ways.items():
        try:
            rates[how], decoding = _rate(settings, way, load, decoding)
        except FastloadError:  # hardly a file can be read, as the epoch will say
            return DecodeRates(rates, None), None
        except (RuntimeError, OSError) as error:  # a driver or a library that DALI lacks: the CPU goes on
            if how == "cpu":
                raise
            rates[f"{how} (failed: {error})"] = 0.0
    best = max(rates, key=lambda how: rates[how])
    if best == "cpu":
        return DecodeRates(rates, None), None
    return DecodeRates(rates, on_gpu[best]), decoding


class _Batches:
    """Lists of indices without end, spread over the data set."""

    def __init__(self, length: int, size: int) -> None:
        self._length, self._size = length, size
        self._stride = next(
            stride for stride in range(length * 7 // 11 + 1, 2 * length + 2) if math.gcd(stride, length) == 1
        )

    def __iter__(self) -> Iterator[list[int]]:
        for first in itertools.count(0, self._size):
            yield [(first + slot) * self._stride % self._length for slot in range(self._size)]


def _rate(
    settings: LoaderSettings, decode: str | GpuDecode, load: Load, before: DecodeResources | None
) -> tuple[float, DecodeResources | None]:
    """Images a second, and what decoded them; ``before``: what another way had, whose decoder is warm."""
    length = len(settings.dataset)
    size = min(length, settings.batch_size or MOST_FILES)
    loaded, held = load(decode, _Batches(length, size), before)
    images, began, counted_from = 0, time.perf_counter(), 0.0
    for batch in loaded:
        pixels = batch[0] if isinstance(batch, list) else batch
        if pixels.is_cuda:
            torch.cuda.current_stream(pixels.device).synchronize()
        now = time.perf_counter()
        if held.decoding is not None and held.decoding.is_starting:
            began = now
        if counted_from:
            images += len(pixels)
            if now - counted_from > _TIMED_SECONDS:
                break
        elif now - began > _WARM_SECONDS:
            counted_from = now
    return images / (now - counted_from), held.decoding
