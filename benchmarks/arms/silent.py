"""Says that it is ready, and gives no batch: the suite must not wait for ever."""

from __future__ import annotations

import threading

from benchmarks.arms import stock_pil


class Arm(stock_pil.Arm):
    """For tests/test_benchmarks.py; not one of the arms that are run."""

    def epoch(self):
        threading.Event().wait()


class Start(Arm):
    """Never says that it is ready."""

    def __init__(self, options):
        threading.Event().wait()
