"""What the GPUs do now, as NVML says."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from fastload.machine import has_gpu
from fastload.reports import needs


@dataclass(frozen=True)
class GpuNow:
    name: str
    busy: float  # share of the last sixth of a second or so in which a kernel ran
    memory_used: int
    memory_total: int
    received: float | None  # bytes a second over PCI Express; None: this card does not tell
    sent: float | None


class Gpus:
    """``with`` this, NVML is open; no GPUs where there is no driver or no library.

    Attributes:
        why_not: what keeps a machine that has GPUs from telling of them; empty where nothing does.
    """

    def __enter__(self) -> Gpus:
        self._nvml: Any = None
        self.why_not = ""
        if has_gpu():
            try:
                self._nvml = needs("pynvml", "profile", "what the GPUs do")
                self._nvml.nvmlInit()
            except Exception as error:  # whatever a driver has to say
                self._nvml, self.why_not = None, str(error)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def now(self) -> tuple[GpuNow, ...]:
        """One after the other."""
        if self._nvml is None:
            return ()
        nvml = self._nvml
        self.why_not = ""
        try:
            handles = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount()))
            return tuple(_now(nvml, handle) for handle in handles)
        except nvml.NVMLError as error:  # a card that fell off its bus, a driver that is exchanged
            self.why_not = str(error)
            return ()


def _now(nvml: Any, handle: Any) -> GpuNow:
    memory, name = nvml.nvmlDeviceGetMemoryInfo(handle), nvml.nvmlDeviceGetName(handle)
    received = sent = None
    with contextlib.suppress(nvml.NVMLError):
        received = nvml.nvmlDeviceGetPcieThroughput(handle, nvml.NVML_PCIE_UTIL_RX_BYTES) * 1024.0
        sent = nvml.nvmlDeviceGetPcieThroughput(handle, nvml.NVML_PCIE_UTIL_TX_BYTES) * 1024.0
    return GpuNow(
        name=name if isinstance(name, str) else name.decode(),
        busy=nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        memory_used=memory.used,
        memory_total=memory.total,
        received=received,
        sent=sent,
    )
