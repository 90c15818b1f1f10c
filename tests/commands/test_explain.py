"""``fastload run --explain``: a line a loader on standard error, in every process."""

from __future__ import annotations

import re
import subprocess
import sys

from children import LIMIT, environment
from images import write_folder

SCRIPT = """
import glob, sys
import PIL.Image
import torch.utils.data
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Lambda, RandomResizedCrop, ToTensor

class IndexFolder(ImageFolder):
    def __getitem__(self, index):
        return *super().__getitem__(index), index

class Listed:
    def __init__(self, root, augmentation):
        self.paths, self.augmentation = glob.glob(root + "/*/*"), augmentation

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.augmentation(PIL.Image.open(self.paths[index]).convert("RGB"))

def collate(items):
    return torch.utils.data.default_collate(items)

if __name__ == "__main__":
    root, transform = sys.argv[1], Compose([RandomResizedCrop(16), ToTensor()])
    loaders = [
        DataLoader(ImageFolder(root, transform), 2),
        DataLoader(ImageFolder(root, Compose([*transform.transforms, Lambda(lambda image: image.abs())])), 2, num_workers=1),
        DataLoader(IndexFolder(root, transform), 2, collate_fn=collate),
        DataLoader(range(4), 2),
        DataLoader(Listed(root, transform), 2),
        DataLoader(Listed(root, lambda image: transform(image)), 2),
    ]
    for epoch in range(2):
        for loader in loaders:
            for batch in loader:
                pass
    print([(loader.stats()["mode"], loader.stats()["batches"], loader.stats()["images"]) for loader in loaders])
"""
EXPECTED = [
    ("ImageFolder", "0: native threads make the batches, 4 to 5 times as fast as torch's loader"),
    (
        "ImageFolder",
        "1: torch's loader, in its workers, makes the batches, and of each sample what comes before Lambda is native: 1.3 "
        "times as fast or more, because Lambda and what follows runs in Python (Lambda: ",
    ),
    (
        "IndexFolder",
        "0: torch's loader makes the batches, because the data set __main__.IndexFolder overrides `__getitem__` "
        "[do what it does in a transform",
    ),
    ("range", "0: torch's loader makes the batches, as fast as without fastload, because"),
    ("Listed", "0: torch's loader makes the batches, because the data set __main__.Listed is no ImageFolder"),
    ("Listed", "0: torch's loader makes the batches, because the data set __main__.Listed is no ImageFolder"),
]


def test_a_line_a_loader_at_its_first_use(tmp_path):
    root = write_folder(tmp_path / "set", classes=2, images=2, largest=40)
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "fastload", "run", "--explain", "train.py", str(root)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(RANK="1"), capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("fastload")]
    assert len(lines) == len(EXPECTED), done.stderr
    for line, (dataset, how) in zip(lines, EXPECTED, strict=True):
        assert re.match(r"fastload \(rank 1\): train\.py:\d+: ", line), line
        assert line.partition(": ")[2].partition(": ")[2].startswith(f"{dataset}, batch_size=2, num_workers={how}"), (
            line
        )
    assert "; there is a collate_fn [" in lines[2]
    lazily = "; JPEGs that its data set opens with Pillow are decoded natively: "
    gains = ["about 2.5 times", "about 2.5 times", "1.3 (whole images) to 2.5 times (cropped and resized)"]
    assert [line.partition(lazily)[2] for line in (lines[2], *lines[4:])] == [f"{gain} as fast" for gain in gains]
    assert done.stdout.strip() == str([("native", 2, 4), ("native in workers", 2, 4), *[("stock", 2, 4)] * 4])
