"""Facts about the installation: versions, what they were built for, which code runs."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.metadata
import importlib.util
import platform
import re
from pathlib import Path

from fastload import _core
from fastload.diagnosis.machine_facts import Software

ROOT = Path("/")
_NAMED = ("torch", "torchvision", "pillow", "numpy", "triton", "nvidia-ml-py", "psutil")


def read_software(driver_cuda: str | None, root: Path = ROOT) -> Software:
    """``driver_cuda``: as :func:`read_gpus.driver_cuda` gives it; None where there is no GPU."""
    import torch
    import torchvision
    from PIL import features

    return Software(
        versions={**{name: _version(name) for name in _NAMED}, "dali": _dali(), "fastload": _version("fastload-torch")},
        torchvision_wants=_pinned("torchvision", "torch"),
        wanted=_lowest("fastload-torch"),
        torch_cuda=torch.version.cuda,
        torchvision_cuda=_cuda_of_torchvision(getattr(torchvision.version, "cuda", None)),
        cuda_works=torch.cuda.is_available(),
        driver_cuda=driver_cuda,
        machine=platform.machine(),
        cpu_flags=_cpu_flags(root),
        simd=_core.simd_variants()[-1],  # the best comes last
        libjpeg=_core.libjpeg_version(),
        pillow_libjpeg=features.version("libjpeg_turbo"),
        nvjpeg=_has_nvjpeg(),
    )


def _cuda_of_torchvision(version: int | str | None) -> str | None:
    """torchvision writes 13000 for 13.0."""
    number = int(version) if version and str(version).isdigit() else 0
    return f"{number // 1000}.{number % 1000 // 10}" if number else None


def version_tuple(version: str) -> tuple[int, ...]:
    """``2.11.0+cu130`` -> (2, 11, 0); what follows the numbers does not count."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else ()


def _version(name: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def _dali() -> str | None:
    """DALI comes under a name for each CUDA."""
    found = (_version(f"nvidia-dali-cuda{cuda}") for cuda in (130, 120, 110))
    return next((f"{version}" for version in found if version is not None), None)


def _pinned(name: str, other: str) -> str | None:
    """The one version of ``other`` that ``name`` wants, if it wants one."""
    try:
        wanted = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for line in wanted:
        found = re.match(rf"{other}\s*\(?==\s*([\w.+]+)", line)
        if found and ";" not in line:
            return found.group(1)
    return None


def _lowest(name: str) -> dict[str, str]:
    """What a distribution asks for without its extras, by name, as "2.4"."""
    try:
        wanted = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([\w-]+)\s*\(?>=\s*([\w.]+)", line) for line in wanted if ";" not in line)
    return {one.group(1).lower(): one.group(2) for one in found if one}


def _cpu_flags(root: Path) -> frozenset[str]:
    for line in (root / "proc/cpuinfo").read_text().splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(flags.split())
    return frozenset()


def _has_nvjpeg() -> bool:
    """As a library that torchvision's decoder on the GPU can load."""
    with contextlib.suppress(ModuleNotFoundError):
        for package in ("nvidia.nvjpeg", "nvidia.cu13"):
            spec = importlib.util.find_spec(package)
            for folder in (spec.submodule_search_locations or []) if spec else []:
                if any(Path(folder).glob("lib/libnvjpeg*")):
                    return True
    return ctypes.util.find_library("nvjpeg") is not None
