"""What the GPU does in a step: computing, copying a batch to it, waiting for one. Events on the consumer's stream; nothing waits.

Between the event of asking for a batch and that of having it, a stream that still has work to do shows nothing, and one that has
none shows how long it waited. So it is from having a batch to the first copy of it: what the script does in between, and the end of
the batch before, of whose memory the system is told then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch

from fastload.diagnosis.patches import Patches
from fastload.diagnosis.run_folder import Lines


@dataclass
class _Copy:
    before: torch.cuda.Event
    after: torch.cuda.Event
    size: int  # bytes
    pinned: bool


@dataclass
class _Step:
    loader: int
    at: float
    asked: torch.cuda.Event
    stream: Any
    given: torch.cuda.Event | None = None
    following: torch.cuda.Event | None = None  # the next batch is asked for
    copies: list[_Copy] = field(default_factory=list)


class DeviceClock:
    """Of one process; does nothing before CUDA is in use."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._patches = Patches()
        self._steps: dict[int, _Step] = {}  # by loader, the newest
        self._current: _Step | None = None  # whose batch was given last
        self._open: deque[_Step] = deque()

    def install(self) -> None:
        """From now on."""
        if torch.cuda.is_available():
            for name in ("to", "cuda"):
                self._patches.wrap(torch.Tensor, name, lambda f: _Copying(f, self._copied))
            self._patches.wrap(torch.Tensor, "copy_", lambda f: _CopyingInto(f, self._copied))

    def uninstall(self) -> None:
        """As it was."""
        self._patches.undo()

    def asked(self, loader: int, at: float) -> None:
        """The consumer asks for a batch, at this moment: what it did with the last one lies before this."""
        if not torch.cuda.is_initialized():
            return
        asked = _event()
        before = self._steps.get(loader)
        if before is not None and before.given is not None:
            before.following = asked
            self._open.append(before)
        self._steps[loader] = _Step(loader, at, asked, torch.cuda.current_stream())
        self._settle()

    def given(self, loader: int) -> None:
        """It has the batch."""
        step = self._steps.get(loader)
        if step is not None:
            step.given = _event()
            self._current = step

    def finish(self) -> None:
        """What the GPU has done by now is written; nothing is waited for."""
        self._settle()

    def _settle(self) -> None:
        while self._open:
            step = self._open[0]
            assert step.given is not None and step.following is not None
            if not step.following.query():
                return
            self._open.popleft()
            copies = [(copy.before.elapsed_time(copy.after) * 1e-3, copy) for copy in step.copies]
            idle = step.given.elapsed_time(step.copies[0].before) * 1e-3 if step.copies else 0.0
            self._lines.add(
                {
                    "kind": "device",
                    "loader": step.loader,
                    "at": step.at,
                    "wait": step.asked.elapsed_time(step.given) * 1e-3,
                    "work": step.given.elapsed_time(step.following) * 1e-3,
                    "idle": max(0.0, idle),
                    "copy": sum(seconds for seconds, _ in copies),
                    "pageable": sum(seconds for seconds, copy in copies if not copy.pinned),
                    "copied": sum(copy.size for _, copy in copies),
                }
            )

    def _copied(self, before: torch.cuda.Event, source: torch.Tensor) -> None:
        """A copy of this tensor is on its way. On another stream it lies beside computing, and costs the step nothing."""
        step = self._current
        if step is not None and torch.cuda.current_stream() == step.stream:
            size = source.numel() * source.element_size()
            step.copies.append(_Copy(before, _event(), size, source.is_pinned()))


class _Copying:
    """A method of tensors, timed where it copies to a GPU. It equals the one that it stands for: who looks whether that was
    replaced, as the loader does of all that transforms call, finds it in its place."""

    def __init__(self, original: Callable[..., Any], copied: Callable[[torch.cuda.Event, torch.Tensor], None]) -> None:
        self.__func__ = original
        self._copied = copied

    def __eq__(self, other: object) -> bool:
        return other is self or other == self.__func__

    def __hash__(self) -> int:
        return hash(self.__func__)

    def __get__(self, tensor: Any, kind: type | None = None) -> Any:
        return self if tensor is None else MethodType(self, tensor)

    def __call__(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        if tensor.device.type != "cpu" or _is_none():
            return self.__func__(tensor, *args, **kwargs)
        before = _event()
        moved = self.__func__(tensor, *args, **kwargs)
        if isinstance(moved, torch.Tensor) and moved.is_cuda:
            self._copied(before, tensor)
        return moved


class _CopyingInto(_Copying):
    """The same of a method whose tensor is on the GPU and takes another's values."""

    def __call__(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        source = args[0] if args else kwargs.get("src")
        if not (tensor.is_cuda and isinstance(source, torch.Tensor) and source.device.type == "cpu") or _is_none():
            return self.__func__(tensor, *args, **kwargs)
        before = _event()
        filled = self.__func__(tensor, *args, **kwargs)
        self._copied(before, source)
        return filled


def _is_none() -> bool:
    """Nothing is copied to a GPU here, or nobody may look."""
    return not torch.cuda.is_initialized() or torch.compiler.is_compiling() or torch.cuda.is_current_stream_capturing()


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
