"""One arm of remote.py in a process of its own: ``remote_epochs.py ARM SOURCE BATCH WORKERS`` prints its second epoch as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import torch

SIZE = 224


def fastload_loader(source: str, batch: int, workers: int) -> Any:
    import torchvision.transforms as T

    from fastload import DataLoader, ImageFolder

    steps = [T.RandomResizedCrop(SIZE), T.RandomHorizontalFlip(), T.ToTensor()]
    return DataLoader(ImageFolder(source, T.Compose(steps)), batch, shuffle=True, num_workers=workers, drop_last=False)


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


def main() -> None:
    arm, source, batch, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    loader = (litdata_loader if arm == "litdata" else fastload_loader)(source, batch, workers)
    said: dict[str, Any] = {}
    for _ in range(2):
        began, images, cpu = time.perf_counter(), 0, time.process_time()
        for one in loader:
            images += len(one[0] if isinstance(one, (list, tuple)) else one)
        seconds = time.perf_counter() - began
        said = {
            "images_per_second": images / seconds,
            "seconds": seconds,
            "cpu_ms_per_image": 1000 * (time.process_time() - cpu) / images,
            "lost": len(loader.dataset) - images,
        }
    if arm in ("remote", "disturbed"):
        said["remote"] = loader.stats()["remote"]
    print(json.dumps(said))


if __name__ == "__main__":
    main()
