"""What workers that are not forked make of lazy images is in the loader's ``stats()``, as of those that are."""

from __future__ import annotations

import json
import sys

import pytest

from children import run
from images import jpeg_bytes

SCRIPT = """
import json, sys
import fastload
fastload.install()
import PIL.Image
import torch.utils.data
import torchvision.transforms as T

class Photos:
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform(PIL.Image.open("photo.jpg").convert("RGB"))

if __name__ == "__main__":
    transform = T.Compose([T.RandomResizedCrop(8), T.ToTensor()])
    loader = torch.utils.data.DataLoader(Photos(transform), 4, num_workers=1, multiprocessing_context=sys.argv[1])
    batches = [list(loader) for _ in range(2)]
    assert [len(epoch) for epoch in batches] == [2, 2]
    print(json.dumps(loader.stats()["lazy"]))
"""


@pytest.mark.parametrize("start", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_workers_count_however_they_start(tmp_path, start):
    (tmp_path / "photo.jpg").write_bytes(jpeg_bytes(1, 60, 50))
    (tmp_path / "train.py").write_text(SCRIPT)
    ended = run(sys.executable, "train.py", start, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    counts = json.loads(ended.stdout)
    assert counts["by_pillow"] == 0 and counts["images"] + counts["tensors"] == 8, counts  # of the second epoch
