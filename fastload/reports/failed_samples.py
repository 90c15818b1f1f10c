"""Samples that failed: the newest of them, how many of each kind, and how many are too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

from fastload.reports.errors import SampleError, TooManyErrors

# A data set of which everything fails would fill the memory with what is said about it.
_LINES_KEPT = 1000
_KINDS_KEPT = 100
_KIND_LENGTH = 80


def checked_max_errors(max_errors: float | None, on_error: str) -> None:
    """Raises ValueError where the option makes no sense."""
    if max_errors is None:
        return
    if type(max_errors) not in (int, float) or not (max_errors >= 1 if type(max_errors) is int else 0 < max_errors < 1):
        raise ValueError(
            "max_errors should be an int from 1 (so many failures in a row), a float between 0 and 1 (more than this share of an "
            f"epoch), or None, but got {max_errors!r}"
        )
    if on_error == "raise":
        raise ValueError("max_errors needs on_error='skip' or 'replace'; with 'raise' every failure is raised")


class Tolerance:
    """How many failures one epoch may have.

    Attributes:
        failed: so far in this epoch.
        in_a_row: up to the newest sample.
    """

    def __init__(self, max_errors: float | None = None, samples: int = 0, failed: int = 0, in_a_row: int = 0) -> None:
        self._max_errors = max_errors
        self._samples = samples
        self.failed = failed
        self.in_a_row = in_a_row

    def anew(self) -> Tolerance:
        """For the next epoch."""
        return Tolerance(self._max_errors, self._samples)

    def add(self, count: int, slots: Collection[int], newest: SampleError | None) -> None:
        """A batch of ``count`` samples of which those in ``slots`` failed.

        Raises:
            TooManyErrors: these were too many.
        """
        longest = 0
        self.failed += len(slots)
        for slot in range(count) if slots else ():
            self.in_a_row = self.in_a_row + 1 if slot in slots else 0
            longest = max(longest, self.in_a_row)
        if not slots:
            self.in_a_row = 0 if count else self.in_a_row
            return
        limit = self._max_errors
        if isinstance(limit, float) and self.failed > limit * self._samples:
            what = f"{self.failed} of the {self._samples} samples of an epoch failed"
        elif isinstance(limit, int) and longest >= limit:
            what = f"{longest} sample{'s' * (longest > 1)} in a row failed"
        else:
            return
        raise TooManyErrors.after(newest, f"{what}, and max_errors={limit}")


class Ledger:
    """Of one loader, in one process: the newest failures, and the number of all."""

    def __init__(self) -> None:
        self.newest: deque[SampleError] = deque(maxlen=_LINES_KEPT)
        self.count = 0
        self.by_reason: dict[str, int] = {}

    def add(self, errors: Collection[SampleError]) -> None:
        """In their order."""
        self.newest.extend(errors)
        self.count += len(errors)
        for error in errors:
            kind = error.reason.split(":", 1)[0].strip()[:_KIND_LENGTH]  # the rest names files and numbers
            if kind not in self.by_reason and len(self.by_reason) >= _KINDS_KEPT:
                kind = "other"
            self.by_reason[kind] = self.by_reason.get(kind, 0) + 1

    def figures(self) -> dict[str, Any]:
        """A fresh dictionary; see ``DataLoader.stats``."""
        return {"all_errors": self.count, "errors_by_reason": dict(self.by_reason)}
