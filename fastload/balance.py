"""How much of each batch a GPU's decoder gets beside the CPU's: from what each of them takes for an image.

Note [balance]
A controller that moved the share by who was waited for swung from end to end, since a change shows only many batches later. What an
image costs each decoder hardly depends on the share, so that is measured, and the share is the one by which both end together.
The CPU's cost is its threads' own clock. The GPU's is the time between the ends of two of its batches, and known only when somebody
waited for both; while only the CPU is waited for, it is taken to be a little less each time, until the GPU is waited for again.
"""

from __future__ import annotations

LEAST, MOST = 0.02, 0.98
# Shorter waits are the calls themselves.
_A_WAIT_S = 1e-3
_WEIGHT = 0.25  # of a new measurement
# Of the GPU's cost, a batch, before it was measured for the first time, and afterwards.
_FIRST_SEARCH, _SEARCH = 0.93, 0.98


class Balance:
    """The share of one loader; times in seconds on any one clock.

    Attributes:
        share: of each batch, that the GPU should get.
    """

    def __init__(self, share: float = 0.5) -> None:
        self.share = share
        self._cpu: float | None = None  # seconds an image, all threads together
        self._gpu: float | None = None
        self._gpu_was_measured = False
        self._last_end: float | None = None  # of the GPU's last batch, if it was waited for

    def add(
        self,
        *,
        cpu_images: int,
        cpu_seconds: float,
        gpu_images: int,
        begun: float,
        ended: float,
        waited_for_cpu: float,
        waited_for_gpu: float,
    ) -> None:
        """One batch: what its images took the threads (their sum divided by their number), when the GPU's part was handed over and
        when it was there, and how long the consumer waited for each."""
        if cpu_images > 0:
            self._cpu = _mean(self._cpu, cpu_seconds / cpu_images)
        if gpu_images > 0 and waited_for_gpu > _A_WAIT_S:
            if self._last_end is not None:
                self._gpu = _mean(
                    self._gpu if self._gpu_was_measured else None, (ended - max(begun, self._last_end)) / gpu_images
                )
                self._gpu_was_measured = True
            self._last_end = ended
        else:
            self._last_end = None
            if self._gpu is not None and waited_for_cpu > _A_WAIT_S:
                self._gpu *= _SEARCH if self._gpu_was_measured else _FIRST_SEARCH
        if self._gpu is None:
            self._gpu = self._cpu
        if self._cpu and self._gpu:
            self.share = min(MOST, max(LEAST, self._cpu / (self._cpu + self._gpu)))


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + _WEIGHT * (new - old)
