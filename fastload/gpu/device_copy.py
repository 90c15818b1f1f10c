"""Batches on a device: copied on a stream of their own, handed to the consumer's stream by an event.

Note [who may touch a batch when]
Copies and kernels run on one side stream a loader. The batch's memory is of that stream's pool, so it is written only after
whoever had it before on that stream is through. An event stands behind the last kernel; the consumer's stream waits for it
(the host does not), and ``record_stream`` keeps the memory from being used again before the consumer's stream has read it: a
batch may be kept, or dropped right after the last launch. Using it on a third stream needs what any tensor needs there: that
stream waits, and is recorded. Pinned memory that the engine writes is given back when the event behind its copy has passed.
The stream has a high priority: its kernels are short, and behind a training's they came late (with decode="gpu" ResNet-18 on an
H100 went through 8,600 images/s, and with priority 9,800).
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.utils.data

from fastload import _core
from fastload.engine import pins


def checked_device(given: torch.device | str | int) -> torch.device:
    """The device that a user means; raises ValueError for one that this process does not have."""
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device should be one of torch's, as 'cuda' or 'cuda:1', but got device={given!r}") from error
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if count == 0:
            raise ValueError(f"device={given!r}, but torch sees no CUDA device; leave it out to get batches on the CPU")
        if device.index is not None and device.index >= count:
            raise ValueError(f"device={given!r}, but this process has only {count} CUDA devices")
    elif device.type not in ("cpu", "meta"):
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(f"device={given!r} is not available here: {error}") from error
    if device.type == "meta":
        raise ValueError("device='meta' holds no batches")
    return device


class Staging:
    """Host memory in which the engine leaves uint8 batches, pinned for CUDA: taken when a batch is first written, used again
    when its copy is over. A loader keeps one for all its epochs."""

    def __init__(self, *, pinned: bool) -> None:
        blocks: dict[int, torch.Tensor] = {}

        def grow(block: int, nbytes: int, gone: list[int]) -> np.ndarray:
            for other in gone:
                del blocks[other]
            blocks[block] = torch.empty(nbytes, dtype=torch.uint8, device="cpu", pin_memory=pinned)
            return blocks[block].numpy()

        # As in BatchMemory, the engine's side holds the dictionary and not its owner.
        self.native = _core.BatchMemory(grow)
        self._blocks = blocks
        self._busy: list[tuple[int, torch.cuda.Event]] = []
        self._lock = threading.Lock()

    def memory(self, block: int) -> torch.Tensor:
        """uint8, flat."""
        return self._blocks[block]

    def give_after(self, block: int, event: torch.cuda.Event | None) -> None:
        """The engine may have the block once the event has passed; None: now."""
        if event is None:
            self.native.give(block)
        else:
            with self._lock:
                self._busy.append((block, event))

    def reclaim(self, remember: int = 0) -> None:
        """Gives the engine the blocks whose copies are over."""
        with self._lock:
            still = []
            for block, event in self._busy:
                if event.query():
                    self.native.give(block)
                else:
                    still.append((block, event))
            self._busy = still


class Destination:
    """A device, and one loader's side stream and staging memory for it.

    ``stream`` is None for devices that are not CUDA's: there everything runs where torch runs it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            # "cuda" means the current device, for torch as for us; from here on it is a fixed one.
            self.device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
            self.stream = torch.cuda.Stream(self.device, priority=-1)
        self.staging = Staging(pinned=self.stream is not None)
        self._pid = os.getpid()

    def serves(self, device: torch.device) -> bool:
        """Whether this is for what the user calls ``device`` now, in the process that made it."""
        if self._pid != os.getpid():
            return False
        if device.type == "cuda" and device.index is None:
            return self.device == torch.device("cuda", torch.cuda.current_device())
        return self.device == device

    def further_streams(self, count: int) -> list[torch.cuda.Stream | None]:
        """So many for work beside its own that is done long before it is wanted: it gives way to that."""
        if self.stream is None:
            return [None]
        return [torch.cuda.Stream(self.device) for _ in range(count)]

    def on_stream(self, stream: torch.cuda.Stream | None = None) -> AbstractContextManager[Any]:
        """A context in which its work is launched, on its own stream or another."""
        # torch.cuda.stream(None) would bring CUDA up, which a forked process cannot.
        return nullcontext() if self.stream is None else torch.cuda.stream(stream or self.stream)

    def event(self, stream: torch.cuda.Stream | None = None) -> torch.cuda.Event | None:
        """Recorded behind all work so far on its own stream, or another; None where there is no stream."""
        if self.stream is None:
            return None
        event: torch.cuda.Event = (stream or self.stream).record_event()
        return event

    def wait(self, event: torch.cuda.Event | None) -> None:
        """Whatever comes next on its own stream waits for the event."""
        if event is not None and self.stream is not None:
            self.stream.wait_event(event)

    def lend(self, tensor: torch.Tensor, stream: torch.cuda.Stream | None) -> torch.cuda.Event | None:
        """What is written on that stream will be read on its own, which waits for the event first."""
        if stream is None or self.stream is None:
            return None
        tensor.record_stream(self.stream)
        return self.event(stream)

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor on the device; to be called in ``on_stream()``."""
        return tensor.to(self.device, non_blocking=self.stream is not None)

    def pixels(self, shape: tuple[int, ...], block: int) -> torch.Tensor:
        """uint8 pixels of this shape on the device, out of a block of the staging memory, which is given back; -1: of any value.

        To be called in ``on_stream()``. All of the block is copied: what the engine did not write is written next, or never
        looked at.
        """
        try:
            pixels = torch.empty(shape, dtype=torch.uint8, device=self.device)
        except BaseException:  # no memory, as in WindowKernels.make()
            if block >= 0:
                self.staging.give_after(block, None)
            raise
        if block >= 0:
            pixels.copy_(self.staging.memory(block).view(shape), non_blocking=self.stream is not None)
            on_stream = None if self.stream is None else torch.cuda.current_stream(self.device)
            self.staging.give_after(block, self.event(on_stream))
        return pixels

    def hand_over(self, tensor: torch.Tensor, event: torch.cuda.Event | None) -> torch.Tensor:
        """The tensor, safe on the caller's current stream."""
        if event is not None:
            consumer = torch.cuda.current_stream(self.device)
            consumer.wait_event(event)
            tensor.record_stream(consumer)
        return tensor

    def move(self, data: Any) -> Any:
        """All tensors of a batch on the device, safe on the caller's current stream."""
        moved: list[torch.Tensor] = []

        def copied(tensor: torch.Tensor) -> torch.Tensor:
            moved.append(self.copy(tensor))
            return moved[-1]

        with self.on_stream():
            data = map_tensors(data, copied)
        event = self.event() if moved else None
        for tensor in moved:
            if tensor.is_cuda:
                self.hand_over(tensor, event)
        return data


def map_tensors(data: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """``data`` with every tensor in lists, tuples, named tuples and mappings changed; other objects as they are."""
    if isinstance(data, torch.Tensor):
        return change(data)
    if isinstance(data, Mapping):
        items = {key: map_tensors(value, change) for key, value in data.items()}
        if type(data) is dict:
            return items
        try:  # keeps what else a mapping of the user's own holds
            clone = copy.copy(data)
            clone.update(items)  # type: ignore[attr-defined]
        except (AttributeError, TypeError):
            return items
        return clone
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(map_tensors(value, change) for value in data))
    if isinstance(data, tuple):
        return tuple(map_tensors(value, change) for value in data)
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes, bytearray)):
        values = [map_tensors(value, change) for value in data]
        if type(data) is list:
            return values
        try:
            return type(data)(values)  # type: ignore[call-arg]
        except TypeError:  # a sequence that is not made from its items, as range
            return values
    return data


class Pinning:
    """A loader as torch's own iterators see it, but pinning its batches, which torch does on a thread where there are workers."""

    def __init__(self, loader: torch.utils.data.DataLoader[Any], device: torch.device) -> None:
        self._loader = loader
        self.pin_memory = loader.pin_memory or pins(device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class MovingIterator:
    """Any iterator of torch's, its batches moved to the device; what else is asked of it, the iterator answers."""

    def __init__(self, iterator: Any, destination: Destination) -> None:
        self._inner = iterator
        self._destination = destination

    def __iter__(self) -> MovingIterator:
        return self

    def __next__(self) -> Any:
        return self._destination.move(next(self._inner))

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)
