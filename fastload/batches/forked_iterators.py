"""Forked processes: whose an iterator with workers is."""

from __future__ import annotations

import os
from typing import Any


class OfOneProcess:
    """Mixed into iterators whose workers stay behind when a process is forked."""

    _maker: int | None = None

    @property
    def is_inherited(self) -> bool:
        """Whether another process made it."""
        return self._maker is not None and self._maker != os.getpid()

    def _made_here(self) -> None:
        self._maker = os.getpid()

    def _refuse_if_inherited(self) -> None:
        if self.is_inherited:
            raise RuntimeError(
                f"this iterator and its workers belong to process {self._maker}, and process {os.getpid()} was forked from it: "
                "make one here, with iter(loader)"
            )

    def __next__(self) -> Any:
        self._refuse_if_inherited()
        return super().__next__()  # type: ignore[misc]
