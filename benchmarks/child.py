"""One arm in a process of its own, told by its parent when to run: ``python -m benchmarks.child ARM OPTIONS``.

Answers each line on standard input (``epoch``, ``digest SEED`` or ``pictures FOLDER``) with a line of JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

# Before torch starts its own threads: one each, like a worker process.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import torch

from benchmarks.arms import Arm, Options, make
from benchmarks.pictures import compare


def cpu_seconds() -> float:
    """User and system time of this process and of the children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_epoch(arm: Arm) -> dict:
    """Times one epoch; the batches are dropped as they come."""
    images = 0
    first: float | None = None
    cpu = cpu_seconds()
    began = time.perf_counter()
    for batch, _ in arm.epoch():
        if first is None:
            first = time.perf_counter() - began
        images += len(batch)
    seconds = time.perf_counter() - began
    answer = {"images": images, "seconds": seconds, "first_batch_seconds": first, "cpu_seconds": cpu_seconds() - cpu}
    if hasattr(arm, "stats"):
        answer["stats"] = arm.stats()
    return answer


def digest(arm: Arm, seed: int) -> dict:
    """A hash of every batch of one epoch, and the mean of all pixels as a check that they are pictures at all."""
    torch.manual_seed(seed)
    hashes, total, count = [], 0.0, 0
    for images, targets in arm.epoch():
        assert images.dtype == torch.float32 and targets.dtype == torch.int64 and images.shape[1:] == (3, 224, 224)
        state = hashlib.blake2b(images.contiguous().numpy(), digest_size=16)
        state.update(targets.numpy())
        hashes.append(state.hexdigest())
        total, count = total + images.double().sum().item(), count + images.numel()
    return {"hashes": hashes, "mean": total / count}


def main() -> None:
    torch.set_num_threads(1)
    given = json.loads(sys.argv[2])
    options = Options(**{**given, "data": Path(given["data"]), "build": Path(given["build"])})
    began = time.perf_counter()
    try:
        arm = make(sys.argv[1], options)
    except Exception as error:
        print(json.dumps({"unavailable": f"{type(error).__name__}: {error}"}), flush=True)
        return
    ready = {
        "claims_equality": arm.CLAIMS_EQUALITY,
        "construct_seconds": time.perf_counter() - began,
        "versions": versions(),
    }
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        try:
            if command == "pictures":
                checked = replace(options, data=Path(rest), workload="eval", batch_size=8)
                answer = compare(make(sys.argv[1], checked), checked.data)
            else:
                answer = digest(arm, int(rest)) if command == "digest" else run_epoch(arm)
        except Exception as error:
            answer = {"unavailable": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


# The module that an arm imports -> the distribution whose version counts.
DISTRIBUTIONS = {
    "torch": "torch",
    "torchvision": "torchvision",
    "PIL": "pillow",
    "nvidia.dali": "nvidia-dali-cuda130",
    "spdl.pipeline": "spdl-core",
    "spdl.io": "spdl-io",
    "torchcodec": "torchcodec",
    "webdataset": "webdataset",
    "litdata": "litdata",
    "datasets": "datasets",
    "ffcv": "ffcv",
    "numba": "numba",
    "turboloader": "turboloader",
}


def versions() -> dict[str, str]:
    found = {}
    for module, distribution in DISTRIBUTIONS.items():
        if module in sys.modules:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[distribution] = metadata.version(distribution)
    if "fastload" in sys.modules:
        found["fastload"] = sys.modules["fastload"].__version__
    return found


if __name__ == "__main__":
    main()
