"""How many images a second this machine's cores make of a data set's own photos, from the page cache: measured, in short."""

from __future__ import annotations

import time

_FEWEST = 8


def probe_decoding(files: list[str], seconds: float) -> float | None:
    """Images a second that native threads on the usable cores decode, crop and resize, from the page cache; None: these are no
    images that they can decode."""
    import torchvision.transforms as T

    import fastload

    images = [path for path in files if path.lower().endswith((".jpg", ".jpeg"))][:256]
    if len(images) < _FEWEST:
        return None
    for path in images:
        with open(path, "rb") as file:
            file.read()
    crops = T.Compose([T.RandomResizedCrop(224), T.ToTensor()])
    data = fastload.ImageFiles(images, transform=crops)
    loader = fastload.DataLoader(data, batch_size=_FEWEST, on_error="skip", rng="index")
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while not rates or time.perf_counter() < until:
        began, count = time.perf_counter(), 0
        for batch in loader:
            count += len(batch)
            if time.perf_counter() > until:
                break
        rates.append(count / (time.perf_counter() - began))
    return max(rates)
