"""What may be wrong with the installation, and with the way to the GPU: facts -> checks."""

from __future__ import annotations

from fastload.diagnosis.doctor_check import Check, in_bytes
from fastload.diagnosis.machine_facts import Facts
from fastload.diagnosis.read_software import version_tuple

_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512_vnni"})
# Scalar code against AVX2 for a resize of 500 x 375 pixels to 224 x 224, bilinear, as measured on an EPYC: 3.2 and 1.7 ms.
_SCALAR_COSTS = 1.9
_LOWEST_DALI = "2.4"
_REINSTALL = "pip install --force-reinstall --no-cache-dir --no-deps --no-binary fastload-torch fastload-torch"


def check_versions(facts: Facts) -> Check | None:
    """torch, torchvision and Pillow: new enough, and made for each other."""
    if (software := facts.software) is None:
        return None
    has = software.versions
    found = ", ".join(f"{name} {has[name] or 'missing'}" for name in ("torch", "torchvision", "pillow", "fastload"))
    lowest = {
        name: low
        for name, low in software.wanted.items()
        if has.get(name) and version_tuple(has[name] or "") < version_tuple(low)
    }
    if lowest:
        named = ", ".join(f"{name} {has[name]} (at least {low})" for name, low in lowest.items())
        return Check(
            "versions",
            found,
            f"too old: {named}; equality with torch's batches is tested from these on",
            "pip install " + " ".join(f"'{name}>={low}'" for name, low in lowest.items()),
        )
    torch, wanted = has["torch"], software.torchvision_wants
    if torch and wanted and version_tuple(wanted) != version_tuple(torch):
        return Check(
            "versions",
            found,
            f"torchvision {has['torchvision']} is built for torch {wanted}: its operators do not load into {torch}, or crash",
            f"pip install torch=={wanted} torchvision=={has['torchvision']}",
        )
    if _major(software.torchvision_cuda) != _major(software.torch_cuda):
        built = [
            f"for CUDA {cuda}" if cuda else "for the CPU" for cuda in (software.torch_cuda, software.torchvision_cuda)
        ]
        return Check(
            "versions",
            found,
            f"torch is built {built[0]} and torchvision {built[1]}: its operators are missing on the GPU",
            f"pip install --force-reinstall torch=={torch} torchvision=={has['torchvision']}",
        )
    return Check("versions", f"{found}; they match")


def _major(version: str | None) -> tuple[int, ...]:
    return version_tuple(version or "")[:1]


def check_libjpeg(facts: Facts) -> Check | None:
    """Pillow's, which every loader but ours decodes with, and ours."""
    if (software := facts.software) is None:
        return None
    found = f"fastload has libjpeg-turbo {software.libjpeg}, Pillow {software.pillow_libjpeg or 'another libjpeg'}"
    if software.pillow_libjpeg is not None:
        return Check("libjpeg", found)
    return Check(
        "libjpeg",
        found,
        "another libjpeg has no SIMD code, and its pixels may be a level of 255 off libjpeg-turbo's: what Pillow decodes is not "
        "what fastload decodes",
        "pip install --force-reinstall --only-binary pillow pillow",
    )


def check_simd(facts: Facts) -> Check | None:
    """The code that the core runs, against what the processor has."""
    if (software := facts.software) is None:
        return None
    flags, runs = software.cpu_flags, software.simd
    if software.machine not in ("x86_64", "AMD64"):
        return Check("simd", f"the core runs {runs} code on {software.machine}; there is no other")
    if runs == "avx512" or (runs == "avx2" and not flags >= _AVX512):
        return Check("simd", f"the core runs {runs} code, the best that this processor has")
    if runs == "scalar" and "avx2" not in flags:
        return Check(
            "simd",
            "the core runs scalar code, since the processor shows no AVX2",
            f"a resize takes {_SCALAR_COSTS} times as long; x86 servers since 2015 have AVX2; a virtual machine may hide it",
            "qemu-system-x86_64 -cpu host …  # or a machine type that passes the host's processor on",
        )
    return Check(
        "simd",
        f"the core runs {runs} code, and the processor has {'AVX-512' if flags >= _AVX512 else 'AVX2'}",
        "the build left out what this processor has"
        + (f"; a resize takes {_SCALAR_COSTS} times as long" if runs == "scalar" else ""),
        _REINSTALL,
    )


def check_cuda(facts: Facts) -> Check | None:
    """Whether torch can use the GPUs that the driver shows."""
    if (software := facts.software) is None:
        return None
    if not facts.gpus:
        unread = software.cuda_works or any(one.what == "GPUs" for one in facts.unreadable)
        return None if unread else Check("cuda", "there is no GPU of NVIDIA's, or no driver")
    shown = f"the driver shows {len(facts.gpus)} x {facts.gpus[0].name}"
    built = (
        f"torch is built for CUDA {software.torch_cuda}" if software.torch_cuda else "torch is built for the CPU alone"
    )
    if software.torch_cuda is None:
        return Check(
            "cuda",
            f"{shown}; {built}",
            f"{len(facts.gpus)} GPUs stand idle",
            "pip install --force-reinstall torch torchvision",
        )
    if software.cuda_works:
        return Check("cuda", f"{shown}; {built}, and it works")
    too_old = (
        software.driver_cuda is not None
        and version_tuple(software.driver_cuda)[:1] < version_tuple(software.torch_cuda)[:1]
    )
    major = (software.driver_cuda or "").replace(".", "")
    return Check(
        "cuda",
        f"{shown}; {built}; torch.cuda.is_available() is False",
        f"{len(facts.gpus)} GPUs stand idle"
        + (f": the driver serves CUDA up to {software.driver_cuda}" if too_old else ""),
        f"pip install --force-reinstall torch torchvision --index-url WHEELS/cu{major}  # or a newer driver"
        if too_old
        else "python -c 'import torch; torch.cuda.init()'  # says why; CUDA_VISIBLE_DEVICES may hide them",
    )


def check_gpu_libraries(facts: Facts) -> Check | None:
    """What decoding on the GPU needs."""
    if (software := facts.software) is None or not facts.gpus or not software.cuda_works:
        return None
    has = software.versions
    nvjpeg = "there" if software.nvjpeg else "missing (torchvision's own decoder on the GPU needs it)"
    found = f"DALI {has['dali'] or 'missing'}, Triton {has['triton'] or 'missing'}, nvJPEG {nvjpeg}"
    if has["triton"] is None:
        why = (
            "fastload's kernels on the GPU are written in Triton: each step is several launches of torch's instead of 1"
        )
        return Check("gpu_libraries", found, why, "pip install triton")
    dali = has["dali"]
    if dali is None or version_tuple(dali) < version_tuple(_LOWEST_DALI):
        return Check(
            "gpu_libraries",
            found,
            "decode='hybrid' needs DALI: 26,695 images/s against 13,721 with decode='cpu', on an H100 with 16 cores",
            "pip install 'fastload-torch[dali]'",
        )
    return Check("gpu_libraries", found)


def check_copies(facts: Facts) -> Check | None:
    """How fast batches reach the GPU."""
    measured = [(i, gpu) for i, gpu in enumerate(facts.gpus) if gpu.pinned is not None]
    if not measured:
        return None
    narrow = [
        (i, g, (g.lanes or 1) / (g.lanes_most or 1)) for i, g in enumerate(facts.gpus) if g.lanes and g.lanes_most
    ]
    narrow = [one for one in narrow if one[2] < 1]
    found = "; ".join(
        f"GPU {i}: {in_bytes(gpu.pinned or 0)}/s from pinned memory, {in_bytes(gpu.pageable or 0)}/s from pageable"
        for i, gpu in measured
    )
    if narrow:
        index, gpu, share = narrow[0]
        return Check(
            "copies",
            found,
            f"GPU {index} has {gpu.lanes} of {gpu.lanes_most} lanes of its link: {share:.0%} of the bandwidth",
            "sudo lspci -vv | grep -A40 -i nvidia | grep LnkSta  # then seat the card in a slot with all lanes",
        )
    slow = [(i, gpu) for i, gpu in measured if gpu.link and gpu.pinned and gpu.pinned < 0.5 * gpu.link]
    if slow:
        index, gpu = slow[0]
        return Check(
            "copies",
            found,
            f"GPU {index} gets {(gpu.pinned or 0) / (gpu.link or 1):.0%} of what its link can do ({in_bytes(gpu.link or 0)}/s)",
            f"nvidia-smi topo -m  # then numactl --cpunodebind={gpu.numa_node or 0} --membind={gpu.numa_node or 0} COMMAND",
        )
    return Check("copies", found)


SOFTWARE_CHECKS = (check_versions, check_libjpeg, check_simd, check_cuda, check_gpu_libraries, check_copies)
