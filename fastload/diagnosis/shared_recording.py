"""The recording that is under way in this process, shared by whoever profiles it: one ``with`` statement in another, several
threads, and ``fastload profile`` around them. Two recorders, one over the other, would each take the other for the script's."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:  # a script under `fastload profile` starts without torch
    from collections.abc import Callable

    from fastload.diagnosis.step_recorder import StepRecorder

_lock = threading.RLock()
_here: SharedRecording | None = None
_expected: Callable[[], object] | None = None


@dataclass(frozen=True)
class SharedRecording:
    """Of one process.

    Attributes:
        folder: where it is written.
        recorder: is installed, and counts its holders.
        end: called when the last one has left.
    """

    folder: Path
    recorder: StepRecorder
    end: Callable[[], None]


def expect(begin: Callable[[], object]) -> None:
    """``begin`` is going to call :func:`begun`: with the first loader, or before somebody joins."""
    global _expected
    _expected = begin


def begun(recording: SharedRecording) -> None:
    """It is the one of this process from now on."""
    global _here, _expected
    with _lock:
        _here, _expected = recording, None


def join(begin: Callable[[], SharedRecording]) -> SharedRecording:
    """The recording that is under way; where there is none, the one that ``begin`` makes. To be left by :func:`leave`."""
    with _lock:
        if _expected is not None:
            _expected()
        recording = _here
        if recording is not None and not (recording.recorder.measures and recording.folder.exists()):
            recording.recorder.leave()  # it is over, here or in the process that this one was forked from
            recording = None
        if recording is None:
            begun(recording := begin())
        recording.recorder.holders += 1
        return recording


def leave(recording: SharedRecording) -> None:
    """The last one ends it."""
    with _lock:
        recording.recorder.holders -= 1
        if recording.recorder.holders == 0:
            recording.end()
