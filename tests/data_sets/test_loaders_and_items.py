"""A ``loader=`` that is Pillow behind another name is known from its code; items of our data sets, one by one, are native."""

from __future__ import annotations

import contextlib
from unittest import mock

import PIL.Image
import PIL.Image as Pictures
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import default_loader, pil_loader

import fastload
from images import write_folder

TRANSFORM = v1.Compose([v1.RandomResizedCrop(16), v1.RandomHorizontalFlip(), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=5, largest=48)


def refuse(*_):
    raise AssertionError("Pillow decodes")


@contextlib.contextmanager
def without_pillow():
    """It finds its decoder by a name made up at run time, so that fastload does not see that this one is replaced."""
    with mock.patch.object(PIL.Image.core, "jpeg_decoder", refuse):
        yield


def old_pil_loader(path: str):
    """As torchvision had it."""
    with open(path, "rb") as f, Image.open(f) as img:
        return img.convert("RGB")


def in_two_lines(path):
    img = PIL.Image.open(path)
    return img.convert("RGB")


def behind_the_block(path):
    with Image.open(str(path)) as img:
        img = img.convert(mode="RGB")
    return img  # noqa: RET504


def handed_on(path):
    return old_pil_loader(path)


class Loads:
    def __call__(self, path):
        return Pictures.open(path).convert("RGB")

    def method(self, path):
        return pil_loader(path)


PLAIN = {
    "old": old_pil_loader,
    "two lines": in_two_lines,
    "behind the block": behind_the_block,
    "handed on": handed_on,
    "default": lambda path: default_loader(path),
    "lambda": lambda p: Image.open(p).convert("RGB"),
    "object": Loads(),
    "method": Loads().method,
}


def batches(Loader, dataset):
    torch.manual_seed(3)
    loader = Loader(dataset, batch_size=4, shuffle=True)
    return [*loader], loader


@pytest.mark.parametrize("name", PLAIN)
def test_pillow_behind_another_name(name, root):
    dataset = ImageFolder(root, TRANSFORM, loader=PLAIN[name])
    expected, _ = batches(torch.utils.data.DataLoader, dataset)
    with without_pillow():
        made, loader = batches(fastload.DataLoader, dataset)
    assert all(torch.equal(a, b) for x, y in zip(made, expected, strict=True) for a, b in zip(x, y, strict=True))
    fastload.require_native(loader)


def catches(path):
    try:
        return Image.open(path).convert("RGB")
    except OSError:
        return Image.new("RGB", (40, 40))


def ends(path):
    try:
        return Image.open(path).convert("RGB")
    finally:
        str(path)


def turned(path):
    return old_pil_loader(path).rotate(90)


def another(path):
    with open(path.replace("1", "2"), "rb") as file:
        return Image.open(file).convert("RGB")


def gray(path):
    return Image.open(path).convert("L").convert("RGB")


def as_it_is(path):
    return Image.open(path)


@pytest.mark.parametrize("loader", [catches, ends, turned, another, gray, as_it_is])
def test_a_loader_that_does_more(loader, root):
    with pytest.raises(fastload.NotNativeError, match="loader of its own"):
        fastload.require_native(fastload.DataLoader(ImageFolder(root, TRANSFORM, loader=loader)))


def test_a_loader_whose_code_changes(root):
    """At once without workers, as torch sees it."""
    plain = old_pil_loader.__code__
    taken = []
    for Loader in (torch.utils.data.DataLoader, fastload.DataLoader):
        torch.manual_seed(3)
        mine = []
        for batch in Loader(ImageFolder(root, TRANSFORM, loader=handed_on), batch_size=3):
            mine += batch
            old_pil_loader.__code__ = gray.__code__
        taken.append(mine)
        old_pil_loader.__code__ = plain
    assert all(map(torch.equal, *taken))


class WithIndex(fastload.ImageFolder):
    def __getitem__(self, index):
        image, target = super().__getitem__(index)
        return image, target, index, self.samples[index][0]


@pytest.mark.parametrize("kind", [fastload.ImageFolder, WithIndex, fastload.ImageFiles])
def test_items_one_by_one_are_native(kind, root):
    plain = ImageFolder(root, TRANSFORM, target_transform=lambda target: target + torch.rand(1))
    given = (root,) if kind is not fastload.ImageFiles else tuple(zip(*plain.samples, strict=True))
    ours = kind(*given, transform=TRANSFORM, target_transform=plain.target_transform)
    torch.manual_seed(1)
    expected = [plain[index] for index in (3, 0, -1, torch.tensor(4))] + [torch.get_rng_state()]
    torch.manual_seed(1)
    with without_pillow():
        items = [ours[index] for index in (3, 0, -1, torch.tensor(4))] + [torch.get_rng_state()]
    assert torch.equal(items.pop(), expected.pop())
    for item, (image, target) in zip(items, expected, strict=True):
        assert torch.equal(item[0], image) and torch.equal(item[1], target)


def test_items_that_cannot_be_native(root, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    picture = tmp_path / "b.png"
    Image.open(ImageFolder(root).samples[0][0]).save(picture)
    files = fastload.ImageFiles([tmp_path / "a.jpg", picture, tmp_path / "c.jpg"], transform=TRANSFORM)
    assert files[1].shape == (3, 16, 16)
    for index, error in ((0, PIL.UnidentifiedImageError), (2, FileNotFoundError), (3, IndexError)):
        with pytest.raises(error):
            files[index]
