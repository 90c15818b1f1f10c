"""Native threads say which samples of an epoch took longest, and a profile's verdict rests on it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torchvision.transforms as T
from PIL import Image

import fastload


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve small photos, of which one is large."""
    for index in range(12):
        side = 2500 if index == 5 else 32
        image = io.BytesIO()
        Image.fromarray(np.full((side, side, 3), index, np.uint8)).save(image, "JPEG")
        (tmp_path / f"{index:02}.jpg").write_bytes(image.getvalue())
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_stats_name_the_sample_that_took_longest(photos: Path, workers: int) -> None:
    dataset = fastload.ImageFiles(sorted(photos.iterdir()), transform=T.Compose([T.Resize((16, 16)), T.ToTensor()]))
    loader = fastload.DataLoader(dataset, batch_size=4, num_workers=workers)
    assert loader.stats()["slowest_samples"] == []
    assert len(list(loader)) == 3
    slowest = loader.stats()["slowest_samples"]
    assert len(slowest) == 3  # one a batch
    assert slowest == sorted(slowest, reverse=True)
    assert [index for _, index, _ in slowest if 4 <= index < 8] == [5]
    stages = loader.stats()["stages"]
    assert all(0 < seconds <= sum(stages.values()) for seconds, _, _ in slowest)
    assert {(index, path) for _, index, path in slowest} <= {(n, str(photos / f"{n:02}.jpg")) for n in range(12)}
