"""One process a GPU: ``torchrun --nproc-per-node 2 -m benchmarks.gpu.ranks --data DIR``, and with 1 on half of the cores.

Each rank loads its part of an ImageFolder on to its own GPU and checks that every batch is there, that no other GPU was touched,
that all ranks together saw every image, and that training and validation loaders can be used in turn. Prints speeds.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
import torch.distributed
import torchvision.transforms as T
from torch.utils.data.distributed import DistributedSampler

import fastload

MEAN, STD, SIDE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224


class Numbered(fastload.ImageFolder):
    """Targets are positions in the data set."""

    def __init__(self, root: str, transform: T.Compose, repeats: int) -> None:
        super().__init__(root, transform)
        self.samples = [(path, number) for number, (path, _) in enumerate(list(self.samples) * repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--decode", default="cpu", choices=["cpu", "gpu", "hybrid", "dali"])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument(
        "--repeats", type=int, default=1, help="of the files in an epoch: one of 20,000 is over at once"
    )
    given = parser.parse_args()
    rank, ranks = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    # Not set_device(): the loader's device alone must be enough.
    device = torch.device("cuda", rank)
    torch.distributed.init_process_group("gloo")
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[rank * len(cores) // ranks : (rank + 1) * len(cores) // ranks]
    os.sched_setaffinity(0, mine)
    end = [T.ToTensor(), T.Normalize(MEAN, STD)]
    train = Numbered(given.data, T.Compose([T.RandomResizedCrop(SIDE), T.RandomHorizontalFlip(), *end]), given.repeats)
    validation = Numbered(given.data, T.Compose([T.Resize(256), T.CenterCrop(SIDE), *end]), given.repeats)
    loaders = {
        name: fastload.DataLoader(
            dataset,
            given.batch_size,
            sampler=DistributedSampler(dataset, ranks, rank, shuffle=name == "train"),
            num_workers=len(mine),
            device=device,
            decode=given.decode,
        )
        for name, dataset in (("train", train), ("validation", validation))
    }
    result: dict[str, object] = {"rank": rank, "decode": given.decode}
    for epoch in range(3):
        for name, loader in loaders.items():
            loader.sampler.set_epoch(epoch)
            seen = torch.zeros(len(train), dtype=torch.int64, device=device)
            began = time.perf_counter()
            for images, targets in loader:
                assert images.device == targets.device == device and images.shape[1:] == (3, SIDE, SIDE)
                seen[targets] += 1
            torch.cuda.synchronize(device)
            result[name] = round(len(loader.sampler) / (time.perf_counter() - began))
            together = seen.cpu()
            torch.distributed.all_reduce(together)
            assert bool((together >= 1).all()) and int(together.sum()) == len(loader.sampler) * ranks
    elsewhere = [other for other in range(torch.cuda.device_count()) if other != rank]
    result["memory_elsewhere"] = [torch.cuda.memory_reserved(other) for other in elsewhere]
    assert not any(result["memory_elsewhere"])  # type: ignore[arg-type]
    print(json.dumps(result), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
