"""What became of lazy images, counted over this process, those that it forks, and torch's workers, however they start."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from multiprocessing.process import current_process
from typing import Any

from fastload.reports import counts_by_epoch

_PROCESSES = 512  # each counts in a place of its own, but for those whose numbers meet
_KINDS = ("images", "tensors", "by_pillow")
IMAGES, TENSORS, BY_PILLOW = range(len(_KINDS))

_SIZE = 8 * len(_KINDS) * _PROCESSES
# Shared with every process that is forked from here on; others reach it by its number, where the system has such files.
_file = os.memfd_create("fastload-figures") if hasattr(os, "memfd_create") else -1
if _file >= 0:
    os.ftruncate(_file, _SIZE)
_shared = memoryview(mmap.mmap(_file, _SIZE)).cast("Q")
_mine = 0
_CONFIG = "fastload_figures"  # of a process: its children, which are not forked, unpickle a copy of it


def _find_mine() -> None:
    global _mine
    _mine = os.getpid() % _PROCESSES * len(_KINDS)


_find_mine()
os.register_at_fork(after_in_child=_find_mine)


class _Invitation:
    """Pickled into another process, which counts here from then on."""

    def __reduce__(self) -> tuple[Callable[[int, int], None], tuple[int, int]]:
        return _accept, (os.getpid(), _file)


def _accept(process: int, file: int) -> None:
    global _shared
    with contextlib.suppress(OSError, ValueError):  # that one is gone, or cannot be looked into: this one counts alone
        opened = os.open(f"/proc/{process}/fd/{file}", os.O_RDWR | os.O_CLOEXEC)
        try:
            _shared = memoryview(mmap.mmap(opened, _SIZE)).cast("Q")
        finally:
            os.close(opened)


@contextlib.contextmanager
def counted_with_me() -> Iterator[None]:
    """Processes that this one starts inside count with it."""
    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    config[_CONFIG] = _Invitation()
    try:
        yield
    finally:
        config.pop(_CONFIG, None)


def count(kind: int, more: int = 1) -> None:
    """One more, or so many."""
    _shared[_mine + kind] += more


def figures() -> dict[str, int]:
    """Since this process began: ``images`` (or parts of them) that were asked for their pixels and made natively, ``tensors`` that
    transforms made of lazy images in one pass, and ``by_pillow``: those that only Pillow could make after all."""
    return {name: sum(_shared[kind :: len(_KINDS)].tolist()) for kind, name in enumerate(_KINDS)}


counts_by_epoch("lazy", figures)
