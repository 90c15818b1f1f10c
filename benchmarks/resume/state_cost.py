"""What a state costs: ``python -m benchmarks.resume.state_cost --data DIR``.

Prints the median time of ``state_dict()``, the size of the state as JSON, and the time from ``load_state_dict()`` to the first
batch near the end of a long epoch, beside that of a fresh epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
import torchvision.transforms as T
from torch.utils.data import RandomSampler

import fastload

EPOCH = 1_281_167  # images of ImageNet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="an image folder of class folders")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 16])
    options = parser.parse_args()
    transform = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor()])
    print(
        f"{'workers':>8} {'state_dict, ms':>15} {'JSON, kB':>9} {'first batch, ms: resumed at 99 %':>33} {'fresh':>7}"
    )
    for workers in options.workers:
        dataset = fastload.ImageFolder(options.data, transform)

        def loader(dataset=dataset, workers=workers):
            sampler = RandomSampler(range(len(dataset)), replacement=True, num_samples=EPOCH)
            return fastload.StatefulDataLoader(dataset, batch_size=8, sampler=sampler, num_workers=workers, threads=2)

        first = loader()
        iterator = iter(first)
        next(iterator)
        times = []
        for _ in range(101):
            began = time.perf_counter()
            state = first.state_dict()
            times.append(time.perf_counter() - began)
        size = len(json.dumps(state))
        state["_sampler_iter_yielded"], state["samples"] = int(EPOCH * 0.99) // 8, int(EPOCH * 0.99) // 8 * 8
        del iterator
        waits = []
        for resumed in (True, False):
            torch.manual_seed(0)
            second = loader()
            began = time.perf_counter()
            if resumed:
                second.load_state_dict(state)
            next(iter(second))
            waits.append(time.perf_counter() - began)
        ms = 1e3 * statistics.median(times)
        print(f"{workers:>8} {ms:>15.2f} {size / 1e3:>9.1f} {1e3 * waits[0]:>33.0f} {1e3 * waits[1]:>7.0f}")


if __name__ == "__main__":
    main()
