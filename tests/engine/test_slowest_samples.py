"""Native threads say which samples of an epoch took longest, and a profile's verdict rests on it."""

from __future__ import annotations

import time
from pathlib import Path

import PIL.PngImagePlugin
import pytest
import torchvision.transforms as T
from PIL import Image

import fastload
from waiting import until


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve small photos; the last of the second batch of four is one that Pillow decodes."""
    for index in range(12):
        Image.new("RGB", (32, 32), (index, 0, 0)).save(tmp_path / f"{index:02}.{'png' if index == 7 else 'jpg'}")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_stats_name_the_sample_that_took_longest(photos: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, began = PIL.PngImagePlugin.PngImageFile._open, 0.0

    def opened_slowly(image: Image.Image) -> None:
        """It takes longer than all before it together, however busy the machine is."""
        now = time.monotonic()
        until(lambda: time.monotonic() - now > now - began)
        opened(image)

    paths = sorted(photos.iterdir())
    dataset = fastload.ImageFiles(paths, transform=T.Compose([T.Resize((16, 16)), T.ToTensor()]))
    loader = fastload.DataLoader(dataset, batch_size=4, num_workers=workers, threads=1)
    assert loader.stats()["slowest_samples"] == []
    monkeypatch.setattr(PIL.PngImagePlugin.PngImageFile, "_open", opened_slowly)
    began = time.monotonic()
    assert len(list(loader)) == 3
    slowest = loader.stats()["slowest_samples"]
    assert len(slowest) == 3  # one a batch
    assert slowest == sorted(slowest, reverse=True)
    assert [index for _, index, _ in slowest if 4 <= index < 8] == [7]
    stages = loader.stats()["stages"]
    assert all(0 < seconds <= sum(stages.values()) for seconds, _, _ in slowest)
    assert {(index, path) for _, index, path in slowest} <= {(n, str(path)) for n, path in enumerate(paths)}
