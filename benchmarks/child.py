"""One arm in a process of its own, told by its parent when to run: ``python -m benchmarks.child ARM OPTIONS``.

Answers each line on standard input (``epoch`` or ``digest SEED``) with a line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path

# Before torch starts its own threads: one each, like a worker process.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import torch

from benchmarks.arms import Arm, Options, make


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
    began = time.perf_counter()
    try:
        arm = make(sys.argv[1], Options(**{**given, "data": Path(given["data"])}))
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
        command, *rest = line.split()
        answer = digest(arm, int(rest[0])) if command == "digest" else run_epoch(arm)
        print(json.dumps(answer), flush=True)


def versions() -> dict[str, str]:
    names = {
        "torch": "torch",
        "torchvision": "torchvision",
        "PIL": "PIL",
        "nvidia.dali": "dali",
        "fastload": "fastload",
    }
    return {label: sys.modules[name].__version__ for name, label in names.items() if name in sys.modules}


if __name__ == "__main__":
    main()
