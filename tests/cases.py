"""How many of what there is no end of: generated cases, cycles, mutations."""

from __future__ import annotations

is_long = False  # set by conftest.py, before tests are imported


def cases(short: int, long: int) -> int:
    """``long`` in `make test-all`, that is with ``-m ''``, else ``short``."""
    return long if is_long else short
