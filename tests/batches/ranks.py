"""What each rank of test_distributed.py runs, under torchrun: ``ranks.py TASK FOLDER OUT``. Writes OUT/RANK.pt."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torchvision.transforms as v1
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data.distributed import DistributedSampler
from torchvision.datasets import ImageFolder

import fastload

TRANSFORM = v1.Compose([v1.RandomResizedCrop(16), v1.RandomHorizontalFlip(), v1.ToTensor()])


class Indexed(ImageFolder):
    """Targets are positions in the data set."""

    def __init__(self, root):
        super().__init__(root, TRANSFORM)
        self.samples = [(path, index) for index, (path, _) in enumerate(self.samples)]


def epochs(loader, sampler, count=2):
    out = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        out.append([(images.clone(), targets) for images, targets in loader])
    return out


def same_as_stock(folder):
    """Every batch of two epochs, on both loaders."""
    dataset = Indexed(folder)
    made = {}
    for name, cls in (("stock", torch.utils.data.DataLoader), ("fastload", fastload.DataLoader)):
        torch.manual_seed(10 + dist.get_rank())
        sampler = DistributedSampler(dataset, seed=4)
        loader = cls(dataset, batch_size=3, sampler=sampler, num_workers=2)
        made[name] = epochs(loader, sampler)
        made[name].append(torch.get_rng_state())
    return made


def by_index(folder):
    """Ranks that agree on nothing but the seed: not on workers, threads or what was drawn before."""
    rank = dist.get_rank()
    torch.manual_seed(6)
    torch.rand(rank)
    dataset = Indexed(folder)
    sampler = DistributedSampler(dataset, seed=4)
    loader = fastload.DataLoader(dataset, 3, sampler=sampler, num_workers=rank % 3, threads=1 + rank, rng="index")
    return epochs(loader, sampler)


def equal_steps(folder):
    """A gradient step for each batch; some ranks meet nothing but damage for a while. Unequal steps would never end."""
    dataset = Indexed(folder)
    sampler = DistributedSampler(dataset, shuffle=False)
    model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2)))
    steps = {}
    for policy in ("skip", "replace"):
        for num_workers in (0, 2):
            loader = fastload.DataLoader(
                dataset, batch_size=2, sampler=sampler, num_workers=num_workers, on_error=policy
            )
            seen = []
            for images, targets in loader:
                model(images).sum().backward()
                seen.append(targets.tolist())
            steps[policy, num_workers] = seen, sorted({error.index for error in loader.errors}), len(loader)
    return steps


def shards(folder):
    """A gradient step for each batch of two epochs of tars, by index and streamed; targets are positions in the data set."""
    model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2)))
    seen = {}
    for tars in sorted(Path(folder).iterdir()):
        indexed = fastload.WebDataset(tars, TRANSFORM)
        stream = fastload.WebDataset.stream(tars, TRANSFORM, shuffle_buffer=4, samples_per_epoch=24)
        for name, dataset in (("indexed", indexed), ("stream", stream)):
            sampler = DistributedSampler(dataset) if name == "indexed" else None
            num_workers = 2 if tars.name == "fewer" else 0
            loader = fastload.DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=num_workers)
            epochs = seen[tars.name, name] = []
            for epoch in range(2):
                (sampler or dataset).set_epoch(epoch)
                epochs.append([])
                for images, targets in loader:
                    model(images).sum().backward()
                    epochs[-1].append(targets.tolist())
    return seen


def stop_half_way(folder):
    """Three batches of an epoch, and the state after them."""
    torch.manual_seed(6)
    dataset = Indexed(folder)
    sampler = DistributedSampler(dataset, seed=4)
    loader = fastload.StatefulDataLoader(dataset, 3, sampler=sampler, num_workers=1, rng="index")
    sampler.set_epoch(1)
    iterator = iter(loader)
    given = [next(iterator) for _ in range(2)]
    return given, loader.state_dict()


def go_on(folder):
    """The rest of it, by another number of ranks."""
    state = torch.load(Path(folder).parent / "state.pt", weights_only=False)
    torch.manual_seed(77)
    dataset = Indexed(folder)
    sampler = DistributedSampler(dataset, seed=4)
    loader = fastload.StatefulDataLoader(dataset, 4, sampler=sampler, num_workers=2, rng="index")
    loader.load_state_dict(state)
    return list(loader)


def main(task, folder, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    result = {
        "same_as_stock": same_as_stock,
        "by_index": by_index,
        "equal_steps": equal_steps,
        "shards": shards,
        "stop_half_way": stop_half_way,
        "go_on": go_on,
    }[task](folder)
    torch.save(result, Path(out) / f"{dist.get_rank()}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
