"""Facts about NVIDIA's GPUs: where they sit, what their link can do, and what copies over it reach."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastload.diagnosis.machine_facts import Gpu
from fastload.reports import needs

ROOT = Path("/")
# Of one lane of PCI Express, bytes a second in one direction by generation, what the encoding takes deducted.
_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
_COPY = 64 << 20


def read_gpus(root: Path = ROOT) -> tuple[Gpu, ...]:
    """All that the driver shows.

    Raises:
        ImportError: nvidia-ml-py is not installed.
        pynvml.NVMLError: the driver does not answer.
    """
    nvml = needs("pynvml", "profile", "what the GPUs are")
    nvml.nvmlInit()
    try:
        return tuple(
            _read_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(i), root) for i in range(nvml.nvmlDeviceGetCount())
        )
    finally:
        nvml.nvmlShutdown()


def driver_cuda() -> str:
    """The newest CUDA that the driver serves, as "13.0"."""
    nvml = needs("pynvml", "profile", "the driver's version")
    nvml.nvmlInit()
    try:
        version = nvml.nvmlSystemGetCudaDriverVersion_v2()
    finally:
        nvml.nvmlShutdown()
    return f"{version // 1000}.{version % 1000 // 10}"


def _read_gpu(nvml: Any, handle: Any, root: Path) -> Gpu:
    def ask(question: str) -> Any:
        try:
            return getattr(nvml, f"nvmlDeviceGet{question}")(handle)
        except nvml.NVMLError:
            return None  # virtual GPUs have no link to tell of

    name, pci = ask("Name") or "GPU", ask("PciInfo_v3") or ask("PciInfo")
    lanes, generation = ask("CurrPcieLinkWidth"), ask("MaxPcieLinkGeneration")
    return Gpu(
        name=name if isinstance(name, str) else name.decode(),
        numa_node=_node_of(pci.busId, root) if pci is not None else None,
        lanes=lanes,
        lanes_most=ask("MaxPcieLinkWidth"),
        link=lanes * _LANE[generation] if lanes and generation in _LANE else None,
    )


def _node_of(bus: str | bytes, root: Path) -> int | None:
    bus = bus if isinstance(bus, str) else bus.decode()
    domain, _, rest = bus.lower().partition(":")
    try:
        node = int((root / "sys/bus/pci/devices" / f"{domain[-4:]}:{rest}" / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None  # -1: the machine has one node


def with_copies(gpus: tuple[Gpu, ...], seconds: float) -> tuple[Gpu, ...]:
    """The same, with the bandwidths measured of those that torch sees."""
    import torch

    seen = torch.cuda.device_count()
    each = seconds / max(1, seen)
    return tuple(
        replace(gpu, pinned=copy_bandwidth(number, True, each / 2), pageable=copy_bandwidth(number, False, each / 2))
        if number < seen
        else gpu
        for number, gpu in enumerate(gpus)
    )


def copy_bandwidth(device: int, pinned: bool, seconds: float) -> float:
    """Bytes a second of the fastest of the copies that fit into the time, two at least."""
    import torch

    host = torch.zeros(_COPY, dtype=torch.uint8, pin_memory=pinned)
    there = torch.empty_like(host, device=f"cuda:{device}")
    best, until = float("inf"), time.perf_counter() + seconds
    for turn in range(1000):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        there.copy_(host, non_blocking=True)
        torch.cuda.synchronize(device)
        took = time.perf_counter() - began
        best = min(best, took) if turn else best  # the first wakes the link
        if turn > 1 and time.perf_counter() > until:
            break
    return _COPY / best
