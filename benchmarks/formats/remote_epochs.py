"""One arm of remote.py in a process of its own, told in JSON; it prints its second epoch, or a digest of the first, as JSON.

``remote_epochs.py '{"kind": "fastload", "source": "s3://bucket/train", "options": {"entries": "off"}, "batch": 64, "workers": 2}'``
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from typing import Any

import torch

SIZE = 224


def fastload_loader(source: str, batch: int, workers: int, **options: Any) -> Any:
    import torchvision.transforms as T

    from fastload import DataLoader, ImageFolder

    steps = [T.RandomResizedCrop(SIZE), T.RandomHorizontalFlip(), T.ToTensor()]
    return DataLoader(ImageFolder(source, T.Compose(steps)), batch, shuffle=True, num_workers=workers, **options)


def torch_loader(source: str, batch: int, workers: int) -> Any:
    """What the others' batches are compared with."""
    import torchvision.transforms as T
    from torchvision.datasets import ImageFolder

    steps = [T.RandomResizedCrop(SIZE), T.RandomHorizontalFlip(), T.ToTensor()]
    return torch.utils.data.DataLoader(ImageFolder(source, T.Compose(steps)), batch, shuffle=True, num_workers=workers)


def digest(loader: Any, batches: int) -> str:
    """Of the first batches of an epoch, pixels and targets."""
    torch.manual_seed(7)
    made = hashlib.sha256()
    for number, (images, targets) in enumerate(loader):
        if number == batches:
            break
        made.update(images.numpy().tobytes() + targets.numpy().tobytes())
    return made.hexdigest()


def decoded(data: bytes) -> torch.Tensor:
    """As remote.py's other arms have it, by torchvision v2 on tensors."""
    import torchvision.transforms.v2 as T
    from torchvision.io import ImageReadMode, decode_jpeg

    if not hasattr(decoded, "steps"):
        decoded.steps = T.Compose(  # type: ignore[attr-defined]
            [T.RandomResizedCrop(SIZE, antialias=True), T.RandomHorizontalFlip(), T.ToDtype(torch.float32, scale=True)]
        )
    image = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return decoded.steps(image)  # type: ignore[attr-defined]


def litdata_loader(source: str, batch: int, workers: int) -> Any:
    from litdata import StreamingRawDataset
    from litdata.streaming import downloader

    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True  # the store has no TLS
    options = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]}
    dataset = StreamingRawDataset(source, storage_options=options, transform=decoded, recompute_index=True)
    return torch.utils.data.DataLoader(dataset, batch, shuffle=True, num_workers=workers, persistent_workers=True)


def cpu_seconds_of(process: int) -> float:
    """Of its first thread, which does all of the store's work."""
    with open(f"/proc/{process}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def main() -> None:
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    makes = {"fastload": fastload_loader, "torch": torch_loader, "litdata": litdata_loader}[asked["kind"]]
    loader = makes(asked["source"], asked["batch"], asked["workers"], **asked.get("options", {}))
    if "digest" in asked:
        print(json.dumps({"digest": [digest(loader, asked["digest"]) for _ in range(2)]}))
        return
    said: dict[str, Any] = {}
    for _ in range(2):
        began, images, cpu, store = time.perf_counter(), 0, time.process_time(), cpu_seconds_of(asked["store"])
        for one in loader:
            images += len(one[0] if isinstance(one, (list, tuple)) else one)
        seconds = time.perf_counter() - began
        said = {
            "images_per_second": images / seconds,
            "seconds": seconds,
            "cpu_ms_per_image": 1000 * (time.process_time() - cpu) / images,
            "store_cpu_seconds": cpu_seconds_of(asked["store"]) - store,
            "lost": len(loader.dataset) - images,
        }
    if asked["kind"] == "fastload":
        said |= {name: loader.stats().get(name) for name in ("remote", "entries", "cache")}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
