"""Data sets that people and libraries write, under ``install()``: the same samples as without, and lazy images inside."""

from __future__ import annotations

import csv
import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
import torchvision.transforms.functional as F
import torchvision.transforms.v2 as v2

import fastload
from fastload.images import is_lazy
from images import jpeg_bytes, picture

TRAIN = v1.Compose(
    [v1.RandomResizedCrop(24), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize([0.5] * 3, [0.2] * 3)]
)
SEEN: list[bool] = []


def noticing(transform):
    """A transform of the user's that says whether images came lazily."""

    def run(image):
        SEEN.append(is_lazy(image))
        return transform(image)

    return run


def write(path: Path, seed: int, format: str = "JPEG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "JPEG":
        path.write_bytes(jpeg_bytes(seed, 70 + 3 * seed, 60))
    else:
        levels = np.arange((70 + 3 * seed) * 60).reshape(60, -1) // 500 % 7
        PIL.Image.fromarray(levels.astype(np.uint8)).save(path, format)
    return path


def flat(sample) -> list:
    if isinstance(sample, (list, tuple)):
        return [part for one in sample for part in flat(one)]
    if isinstance(sample, dict):
        return flat(list(sample.items()))
    if isinstance(sample, PIL.Image.Image):
        return [type(sample), sample.size, sample.mode, sample.tobytes()]
    if isinstance(sample, (torch.Tensor, np.ndarray)):
        return [type(sample), str(sample.dtype), tuple(sample.shape), sample.tolist()]
    return [sample]


def csv_file(root: Path):
    with (root / "list.csv").open("w") as file:
        csv.writer(file).writerows([str(write(root / f"{seed}.jpg", seed)), seed] for seed in range(4))

    class FromCsv(torch.utils.data.Dataset):
        def __init__(self):
            with (root / "list.csv").open() as file:
                self.rows = list(csv.reader(file))
            self.transform = noticing(TRAIN)

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, index):
            path, label = self.rows[index]
            with open(path, "rb") as file:
                image = PIL.Image.open(file)
                image = image.convert("RGB")
            return self.transform(image), int(label), path

    return FromCsv()


def image_and_mask(root: Path):
    class Pairs(torch.utils.data.Dataset):
        """The same crop of both."""

        def __len__(self):
            return 4

        def __getitem__(self, index):
            image = PIL.Image.open(write(root / f"{index}.jpg", index)).convert("RGB")
            mask = PIL.Image.open(write(root / f"{index}.png", index, "PNG"))
            SEEN.append(is_lazy(image))
            box = v1.RandomCrop.get_params(image, (40, 32))
            image, mask = F.crop(image, *box), F.crop(mask, *box)
            if torch.rand(1) < 0.5:
                image, mask = F.hflip(image), F.hflip(mask)
            return F.to_tensor(image), torch.from_numpy(np.array(mask))

    return Pairs()


def in_memory(root: Path):
    class Held(torch.utils.data.Dataset):
        """All images, opened once."""

        def __init__(self):
            self.images = [PIL.Image.open(write(root / f"{seed}.jpg", seed)).convert("RGB") for seed in range(3)]

        def __len__(self):
            return 6

        def __getitem__(self, index):
            image = self.images[index % 3]
            SEEN.append(is_lazy(image))
            return TRAIN(image), np.asarray(image.resize((9, 9)))

    return Held()


def array_first(root: Path):
    class Arrays(torch.utils.data.Dataset):
        """As albumentations wants them."""

        def __len__(self):
            return 4

        def __getitem__(self, index):
            image = PIL.Image.open(write(root / f"{index}.jpg", index))
            SEEN.append(is_lazy(image))
            array = np.array(image.convert("RGB"))
            array[:3] = 0  # it is the user's own
            return array[5:40, 5:40]

    return Arrays()


def coco(root: Path):
    class COCO:
        """What torchvision asks of it."""

        def __init__(self, file):
            made = json.loads(Path(file).read_text())
            self.imgs = {image["id"]: image for image in made["images"]}
            self.annotations = made["annotations"]

        def loadImgs(self, index):
            return [self.imgs[index]]

        def getAnnIds(self, index):
            return [a["id"] for a in self.annotations if a["image_id"] == index]

        def loadAnns(self, ids):
            return [a for a in self.annotations if a["id"] in ids]

    sys.modules["pycocotools"] = types.ModuleType("pycocotools")
    sys.modules["pycocotools.coco"] = module = types.ModuleType("pycocotools.coco")
    module.COCO = COCO
    for seed in range(3):
        write(root / f"{seed}.jpg", seed)
    images = [{"id": seed, "file_name": f"{seed}.jpg"} for seed in range(3)]
    boxes = [{"id": seed, "image_id": seed, "bbox": [1, 2, 30, 20]} for seed in range(3)]
    (root / "all.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    try:
        return torchvision.datasets.CocoDetection(str(root), str(root / "all.json"), transform=noticing(v1.ToTensor()))
    finally:
        del sys.modules["pycocotools"], sys.modules["pycocotools.coco"]


def voc(root: Path):
    base = root / "VOCdevkit" / "VOC2012"
    for seed in range(3):
        write(base / "JPEGImages" / f"{seed}.jpg", seed)
        write(base / "SegmentationClass" / f"{seed}.png", seed, "PNG")
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    (base / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n")
    joint = v2.Compose([v2.RandomCrop(40), v2.RandomHorizontalFlip(), v2.ToImage()])

    def both(image, mask):
        SEEN.append(is_lazy(image))
        return joint(image, torchvision.tv_tensors.Mask(np.array(mask)))

    return torchvision.datasets.VOCSegmentation(str(root), transforms=both)


def pets(root: Path):
    base = root / "oxford-iiit-pet"
    for seed in range(3):
        write(base / "images" / f"cat_{seed}.jpg", seed)
        write(base / "annotations" / "trimaps" / f"cat_{seed}.png", seed, "PNG")
    (base / "annotations" / "trainval.txt").write_text("".join(f"cat_{seed} 1 1 1\n" for seed in range(3)))
    kinds = ["category", "segmentation"]
    return torchvision.datasets.OxfordIIITPet(
        str(root), target_types=kinds, transform=noticing(TRAIN), target_transform=lambda t: (t[0], np.asarray(t[1]))
    )


def food(root: Path):
    base = root / "food-101"
    for seed in range(3):
        write(base / "images" / "pie" / f"{seed}.jpg", seed)
    (base / "meta").mkdir()
    for split in ("train", "test"):
        (base / "meta" / f"{split}.json").write_text(json.dumps({"pie": ["pie/0", "pie/1", "pie/2"]}))
    return torchvision.datasets.Food101(str(root), transform=noticing(TRAIN))


def hugging_face(root: Path, *, paths: bool, way: str):
    datasets = pytest.importorskip("datasets")
    files = [write(root / f"{seed}.jpg", seed) for seed in range(4)]
    turned = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    picture(1, 50, 30).save(turned, "JPEG", exif=exif)
    files[1].write_bytes(turned.getvalue())
    column = [str(file) if paths else {"bytes": file.read_bytes(), "path": None} for file in files]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    made = datasets.Dataset.from_dict({"image": column, "label": [0, 1, 2, 3]}, features=features)
    if way == "torch":
        return made.with_format("torch")

    def apply(rows):
        rows["image"] = [noticing(TRAIN)(image.convert("RGB")) for image in rows["image"]]
        return rows

    return made.with_transform(apply) if way == "with_transform" else made.set_transform(apply) or made


DATA_SETS = {
    "csv": csv_file,
    "image and mask": image_and_mask,
    "in memory": in_memory,
    "array first": array_first,
    "CocoDetection": coco,
    "VOCSegmentation": voc,
    "OxfordIIITPet": pets,
    "Food101": food,
    "datasets, bytes, set_transform": lambda root: hugging_face(root, paths=False, way="set_transform"),
    "datasets, paths, with_transform": lambda root: hugging_face(root, paths=True, way="with_transform"),
    "datasets, bytes, torch": lambda root: hugging_face(root, paths=False, way="torch"),
}


def samples(dataset, epochs: int) -> list:
    made = []
    for epoch in range(epochs):
        torch.manual_seed(epoch)
        made += [flat(dataset[index]) for index in range(len(dataset))]
    return [made, torch.rand(1).item()]


@pytest.mark.parametrize("name", DATA_SETS)
def test_samples_are_the_same(name, tmp_path):
    plain = samples(DATA_SETS[name](tmp_path / "plain"), 3) if (tmp_path / "plain").mkdir() is None else None
    SEEN.clear()
    fastload.install()
    try:
        (tmp_path / "lazy").mkdir()
        lazy = samples(DATA_SETS[name](tmp_path / "lazy"), 3)
    finally:
        fastload.uninstall()
    assert str(plain).replace(str(tmp_path / "plain"), "") == str(lazy).replace(str(tmp_path / "lazy"), "")
    assert all(SEEN) and (SEEN or name.endswith("torch"))
