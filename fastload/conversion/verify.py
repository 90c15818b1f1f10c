"""Reads and decodes every sample of a data set, natively on all cores, and says which are bad, and why."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import PIL.Image
import torchvision.transforms as T

from fastload import _core
from fastload.datasets import sample_name
from fastload.engine import (
    AtWork,
    BatchSamples,
    ByteRange,
    Find,
    SampleSource,
    engine_of,
    file_dataset_of,
    file_of,
    pixel_limit,
    require_file,
    share_of_cores,
)
from fastload.shards import Damage
from fastload.transforms import read

_BATCH = 64
# Batches that the engine has at once, so that its threads never wait for this one.
_IN_FLIGHT = 3
# Of every pixel, and small: the whole image is decoded, and next to nothing is written.
_SIDE = 8
# How libjpeg begins to say that it repaired something.
_REPAIRS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression", "Invalid SOS")


@dataclass(frozen=True)
class Finding:
    """A sample that cannot be read, or one that Pillow reads with a warning; or a place in a shard where no sample can be had.

    Attributes:
        index: in the data set; None for what is no sample of it.
        name: by which ``exclude=`` leaves it out; None as well.
        file: that it lies in, or is; None for one in memory.
        offset: of its first byte there; None for a file of its own.
        reason: one line.
    """

    index: int | None
    name: str | None
    file: str | None
    offset: int | None
    reason: str


@dataclass
class Verification:
    """What was found.

    Attributes:
        samples: how many were read.
        bad: those that no loader could give.
        warned: those that are given, and about which there is something to say.
        seconds: that it took.
    """

    samples: int = 0
    bad: list[Finding] = field(default_factory=list)
    warned: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def verify_samples(
    dataset: Any,
    *,
    damage: Sequence[Damage] = (),
    threads: int | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> Verification:
    """Reads and decodes each sample of a map-style data set of this package, or a torchvision folder, as the loader would.

    Args:
        dataset: its transform takes no part; None: there is nothing but damage.
        damage: what :func:`open_damaged` found, which is bad as well.
        threads: None: this process's share of the cores.
        tell: is called with how many more are done.

    While it runs Python's warnings are heard by it alone. Raises NotNative for a data set that names no files.
    """
    found = Verification()
    began = time.monotonic()
    found.bad += _of_damage(dataset, damage)
    told = {one.index for one in found.bad}
    if dataset is None:
        return found
    files = file_dataset_of(dataset)
    reading = read(T.Compose([T.Resize((_SIDE, _SIDE), antialias=True), T.PILToTensor()]))
    form = reading.pixelwise.target("chw")
    engine = engine_of(None, threads or share_of_cores())
    count = len(dataset)
    flight: list[tuple[_Looked, _core.Batch]] = []
    with AtWork(), _warnings_heard() as heard:
        for start in range(0, count + _IN_FLIGHT * _BATCH, _BATCH):
            if len(flight) >= _IN_FLIGHT or (start >= count and flight):
                samples, batch = flight.pop(0)
                batch.wait()
                _note(found, told, dataset, samples, batch, reading)
                tell(len(samples.indices))
            if start < count:
                samples = _Looked(heard, Find(files), range(start, min(start + _BATCH, count)), count)
                batch = engine.submit(
                    samples.sources,
                    samples.numbers,
                    recipe=reading.recipe,
                    target=form,
                    size=(_SIDE, _SIDE),
                    out=np.empty((len(samples.indices), 3, _SIDE, _SIDE), np.uint8),
                    order=None,
                    seed=0,
                    epoch=0,
                    stop_at_failure=False,
                    max_pixels=pixel_limit(),
                    load=samples.load,
                )
                flight.append((samples, batch))
    found.samples = count
    found.seconds = time.monotonic() - began
    return found


class _Looked(BatchSamples):
    """Samples of which Pillow is asked, with what it says beside."""

    def __init__(self, heard: dict[int, list[str]], *args: Any) -> None:
        super().__init__(*args)
        self.said: dict[int, str] = {}
        self.asked: set[int] = set()
        self._heard = heard
        for slot, source in enumerate(self.given):
            try:
                require_file(source)
            except OSError as error:
                self.refuse(slot, error)

    def load(self, slot: int, why: str, encoded: bytes | None = None) -> np.ndarray | None:
        self.asked.add(slot)
        mine = self._heard[threading.get_ident()] = []
        pixels = super().load(slot, why, encoded)
        if pixels is not None:
            what = mine[0] if mine else _repair(self.given[slot])
            if what:
                self.said[slot] = what
        return pixels

    def listen(self, failures: Any) -> None:
        """Asks Pillow for the headers of those that it was not asked for: it warns of EXIF data, which the engine passes over."""
        mine = self._heard[threading.get_ident()] = []
        for slot, source in enumerate(self.given):
            if slot in failures or slot in self.asked:
                continue
            with contextlib.suppress(Exception), PIL.Image.open(file_of(source)):  # it was read a moment ago
                pass
            if mine:
                self.said[slot] = mine[0]
                mine.clear()


def _repair(source: Any) -> str:
    """What is wrong with a JPEG that Pillow takes; empty if nothing is known to be."""
    try:
        data = _bytes(source)
        if data[:2] == b"\xff\xd8":
            _core.jpeg_decode(data)
    except _core.JpegError as error:
        code, message = error.args
        if code == "damaged" or message.startswith(_REPAIRS):
            return f"libjpeg: {message}"
    except OSError:  # it was there a moment ago
        pass
    return ""


def _bytes(source: Any) -> bytes:
    if isinstance(source, SampleSource):
        return source.read()
    with open(source, "rb") as file:
        return file.read()


def _of_damage(dataset: Any, damage: Sequence[Damage]) -> Iterator[Finding]:
    """Without those that the data set leaves out."""
    rows = {one.row for one in damage} - {None}
    numbers = {row: i for i, row in enumerate(dataset.samples.rows().tolist()) if row in rows} if rows else {}
    for one in damage:
        if one.row is None:
            yield Finding(None, None, one.file, one.offset, one.reason)
        elif (index := numbers.get(one.row)) is not None:
            yield Finding(index, sample_name(dataset, index), one.file, one.offset, one.reason)


def _note(
    found: Verification, told: set[int | None], dataset: Any, samples: _Looked, batch: _core.Batch, reading: Any
) -> None:
    failures = samples.failures(batch, reading)
    samples.listen(failures)
    for slot in sorted({*failures, *samples.said}):
        reason = failures[slot].reason if slot in failures else samples.said[slot]
        index, source = samples.indices[slot], samples.given[slot]
        if index in told:
            continue
        file, offset = None, None
        if isinstance(source, ByteRange):
            file, offset = source.path, source.offset
        elif isinstance(source, str | bytes | os.PathLike):
            file = os.fsdecode(source)
        finding = Finding(index, sample_name(dataset, index), file, offset, " ".join(reason.split()))
        (found.bad if slot in failures else found.warned).append(finding)


@contextlib.contextmanager
def _warnings_heard() -> Iterator[dict[int, list[str]]]:
    """Python's warnings, by the thread that they come from."""
    heard: dict[int, list[str]] = {}

    def hear(message: Any, category: type[Warning], *_: Any) -> None:
        heard.setdefault(threading.get_ident(), []).append(f"{category.__name__}: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = hear  # type: ignore[assignment]
        PIL.Image.init()
        yield heard
