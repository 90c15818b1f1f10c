"""What the GPU does in a step: computing, copying a batch to it, waiting for one. Events on the consumer's stream; nothing waits.

Between the event of asking for a batch and that of having it, a stream that still has work to do shows nothing, and one that has
none shows how long it waited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch

from fastload.diagnosis.patches import Patches
from fastload.diagnosis.run_folder import Lines

_Copy = tuple[torch.cuda.Event, torch.cuda.Event, int, bool]  # before, after, bytes, from pinned memory


class DeviceClock:
    """Of one process; does nothing before CUDA is in use."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._patches = Patches()
        self._asked: torch.cuda.Event | None = None
        self._given: torch.cuda.Event | None = None
        self._copies: list[_Copy] = []
        self._open: deque[dict[str, Any]] = deque()

    def install(self) -> None:
        """From now on."""
        if torch.cuda.is_available():
            for name in ("to", "cuda"):
                self._patches.wrap(torch.Tensor, name, self._around_copy)

    def uninstall(self) -> None:
        """As it was."""
        self._patches.undo()

    def asked(self, loader: int) -> None:
        """The consumer asks for a batch: what it did with the last one lies before this."""
        if not torch.cuda.is_initialized():
            return
        asked = _event()
        if self._given is not None and self._asked is not None:
            line = {"loader": loader, "asked": self._asked, "given": self._given, "next": asked, "copies": self._copies}
            self._open.append(line)
        self._asked, self._copies = asked, []
        self._settle()

    def given(self, loader: int) -> None:
        """It has the batch."""
        if self._asked is not None:
            self._given = _event()

    def finish(self) -> None:
        """What the GPU has done by now is written; nothing is waited for."""
        self._settle()

    def _settle(self) -> None:
        while self._open and self._open[0]["next"].query():
            line = self._open.popleft()
            copies = [(a.elapsed_time(b) * 1e-3, size, pinned) for a, b, size, pinned in line["copies"]]
            self._lines.add(
                {
                    "kind": "device",
                    "loader": line["loader"],
                    "wait": line["asked"].elapsed_time(line["given"]) * 1e-3,
                    "work": line["given"].elapsed_time(line["next"]) * 1e-3,
                    "copy": sum(seconds for seconds, _, _ in copies),
                    "pageable": sum(seconds for seconds, _, pinned in copies if not pinned),
                    "copied": sum(size for _, size, _ in copies),
                }
            )

    def _around_copy(self, original: Callable[..., Any]) -> _Copying:
        return _Copying(original, self._copies_now)

    def _copies_now(self) -> list[_Copy]:
        return self._copies


class _Copying:
    """A method of tensors, timed where it copies to a GPU. It equals the one that it stands for: who looks whether that was
    replaced, as the loader does of all that transforms call, finds it in its place."""

    def __init__(self, original: Callable[..., Any], copies: Callable[[], list[_Copy]]) -> None:
        self.__func__ = original
        self._copies = copies

    def __eq__(self, other: object) -> bool:
        return other is self or other == self.__func__

    def __hash__(self) -> int:
        return hash(self.__func__)

    def __get__(self, tensor: Any, kind: type | None = None) -> Any:
        return self if tensor is None else MethodType(self, tensor)

    def __call__(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        if tensor.device.type != "cpu" or not torch.cuda.is_initialized() or torch.compiler.is_compiling():
            return self.__func__(tensor, *args, **kwargs)
        before = _event()
        moved = self.__func__(tensor, *args, **kwargs)
        if isinstance(moved, torch.Tensor) and moved.is_cuda:
            size = tensor.numel() * tensor.element_size()
            self._copies().append((before, _event(), size, tensor.is_pinned()))
        return moved


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
