"""Bad samples: named, counted, and never the end of the epoch."""

from __future__ import annotations

import os
import pickle
import shutil

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torch.utils.data import ConcatDataset, Subset
from torchvision.datasets import ImageFolder

import fastload
from images import jpeg_bytes, picture, write_folder
from recipes import InPython

TRANSFORM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])


def damage_missing(path):
    path.unlink()


def damage_empty(path):
    path.write_bytes(b"")


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def damage_text(path):
    path.write_text("this is no image")


def damage_half_header(path):
    path.write_bytes(path.read_bytes()[:30])


def damage_zero_height(path):
    data = bytearray(path.read_bytes())
    start = data.find(b"\xff\xc0") if b"\xff\xc0" in data else data.find(b"\xff\xc2")
    data[start + 5 : start + 7] = b"\x00\x00"
    path.write_bytes(bytes(data))


def damage_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [
    damage_missing,
    damage_empty,
    damage_truncated,
    damage_text,
    damage_half_header,
    damage_zero_height,
    damage_folder,
]


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "root", classes=2, images=10)


def outcomes(loader, seed=2):
    """Every batch or exception until the end, and the generator afterwards."""
    torch.manual_seed(seed)
    iterator, seen = iter(loader), []
    while True:
        try:
            seen.append(next(iterator))
        except StopIteration:
            return seen, torch.get_rng_state()
        except Exception as error:
            seen.append(error)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_raise_is_like_torch_and_names_the_sample(root, damage, num_workers):
    dataset = ImageFolder(root, TRANSFORM)
    bad = root / "class0" / "005.jpg"
    damage(bad)
    loader = fastload.DataLoader(dataset, batch_size=4, num_workers=num_workers)
    ours, our_state = outcomes(loader)
    stock, stock_state = outcomes(torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=num_workers))
    assert len(ours) == len(stock) == 5
    for slot, (mine, theirs) in enumerate(zip(ours, stock, strict=True)):
        if slot == 1:
            assert isinstance(mine, fastload.FastloadError) and isinstance(mine, type(theirs))
            assert mine.index == 5 and mine.path == str(bad) and mine.reason
            assert "sample 5" in str(mine) and str(bad) in str(mine)
        else:
            # Later batches of the same emulated worker too: a failed batch draws exactly what torch's would have drawn.
            assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    assert torch.equal(our_state, stock_state)
    assert [(error.index, error.path) for error in loader.errors] == [(5, str(bad))]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(root):
    (root / "class0" / "005.jpg").chmod(0)
    with pytest.raises(PermissionError, match="sample 5"):
        list(fastload.DataLoader(ImageFolder(root, TRANSFORM), batch_size=4))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_skip_keeps_images_and_targets_together(root, num_workers):
    dataset = ImageFolder(root, v1.Compose([v1.Resize((32, 32)), v1.ToTensor()]))
    expected = {index: dataset[index] for index in range(len(dataset)) if index not in (5, 6, 12, 13, 14, 15)}
    for index in (5, 6, 12, 13, 14, 15):
        damage_truncated(type(root)(dataset.samples[index][0]))
    loader = fastload.DataLoader(dataset, batch_size=4, num_workers=num_workers, on_error="skip")
    batches = list(loader)
    assert [len(targets) for _, targets in batches] == [4, 2, 4, 1, 4]
    images = torch.cat([images for images, _ in batches])
    targets = torch.cat([targets for _, targets in batches])
    order = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 16, 16, 17, 18, 19]  # 16 stands in for the batch of 12 to 15
    assert torch.equal(images, torch.stack([expected[index][0] for index in order]))
    assert targets.tolist() == [expected[index][1] for index in order]
    assert sorted(error.index for error in loader.errors) == [5, 6, 12, 13, 14, 15]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_replace_keeps_the_batch_size(root, num_workers):
    dataset = ImageFolder(root, v1.Compose([v1.Resize((32, 32)), v1.ToTensor()]))
    good = [dataset[index] for index in range(len(dataset))]
    for index in (5, 7, 12, 13, 14, 15):
        damage_empty(type(root)(dataset.samples[index][0]))
    loader = fastload.DataLoader(dataset, batch_size=4, num_workers=num_workers, on_error="replace")
    seen, _ = outcomes(loader)
    assert torch.equal(seen[3][0], torch.stack([good[16][0]] * 4)) and seen[3][1].tolist() == [good[16][1]] * 4
    stand_ins = [4, 6, 6, 4]  # the next readable one, else the first
    assert torch.equal(seen[1][0], torch.stack([good[index][0] for index in stand_ins]))
    assert seen[1][1].tolist() == [good[index][1] for index in stand_ins]
    assert [len(seen[slot][1]) for slot in (0, 1, 2, 4)] == [4, 4, 4, 4]
    assert len(loader.errors) == 6


@pytest.mark.parametrize("policy", ["skip", "replace"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_policies_where_python_makes_part_of_the_sample(root, policy, num_workers):
    transform = v1.Compose([v1.Resize((32, 32)), v1.ToTensor(), InPython(0.0)])
    dataset = ImageFolder(root, transform)
    good = [dataset[index] for index in range(len(dataset))]
    for index in (5, 7):
        damage_text(type(root)(dataset.samples[index][0]))
    loader = fastload.DataLoader(dataset, batch_size=4, num_workers=num_workers, on_error=policy)
    batches = list(loader)
    chosen = [4, 6] if policy == "skip" else [4, 6, 6, 4]
    assert torch.equal(batches[1][0], torch.stack([good[index][0] for index in chosen]))
    assert batches[1][1].tolist() == [good[index][1] for index in chosen]
    assert sorted(error.index for error in loader.errors) == [5, 7]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_error_from_a_worker_process_crosses(root, num_workers):
    dataset = ImageFolder(root, v1.Compose([v1.Resize((32, 32)), v1.ToTensor(), InPython(0.0)]))
    damage_missing(root / "class0" / "005.jpg")
    seen, _ = outcomes(fastload.DataLoader(dataset, batch_size=4, num_workers=num_workers))
    assert isinstance(seen[1], fastload.ReadError) and isinstance(seen[1], FileNotFoundError)
    assert "sample 5" in str(seen[1]) and len(seen) == 5


def test_file_vanishing_in_mid_epoch(root):
    dataset = ImageFolder(root, TRANSFORM)
    loader = fastload.DataLoader(dataset, batch_size=2, num_workers=1, prefetch_factor=1, on_error="skip")
    iterator = iter(loader)
    next(iterator)
    shutil.rmtree(root / "class1")
    rest = list(iterator)
    assert sum(len(targets) for _, targets in rest) < 18
    assert loader.errors and all(error.path.startswith(str(root / "class1")) for error in loader.errors)


def test_pillows_pixel_limit(root, monkeypatch):
    dataset = ImageFolder(root, TRANSFORM)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PIL.Image.DecompressionBombError, match="sample 0"):
        next(iter(fastload.DataLoader(dataset, batch_size=4)))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    next(iter(fastload.DataLoader(dataset, batch_size=4)))


def test_giant_image_is_refused_before_memory_is_taken(tmp_path):
    data = bytearray(jpeg_bytes(0, 64, 64, form=0))
    start = data.find(b"\xff\xc0")
    data[start + 5 : start + 9] = (65500).to_bytes(2, "big") * 2
    (tmp_path / "bomb.jpg").write_bytes(bytes(data))
    loader = fastload.DataLoader(fastload.ImageFiles([tmp_path / "bomb.jpg"], transform=TRANSFORM))
    with pytest.raises(PIL.Image.DecompressionBombError, match=r"bomb\.jpg"):
        list(loader)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_crop_larger_than_the_image(tmp_path, num_workers):
    root = write_folder(tmp_path / "root", classes=1, images=6, largest=60)
    dataset = ImageFolder(root, v1.Compose([v1.RandomCrop(50), v1.ToTensor()]))
    ours, our_state = outcomes(fastload.DataLoader(dataset, batch_size=2, num_workers=num_workers))
    stock, stock_state = outcomes(torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=num_workers))
    failed = [type(outcome) is not list for outcome in stock]
    assert any(failed)
    for mine, theirs in zip(ours, stock, strict=True):
        if isinstance(theirs, ValueError):
            assert isinstance(mine, ValueError) and isinstance(mine, fastload.TransformError)
            assert "Required crop size (50, 50) is larger than input image size" in str(mine)
        else:
            assert torch.equal(mine[0], theirs[0])
    assert torch.equal(our_state, stock_state)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_index_out_of_range(root, num_workers):
    dataset = ImageFolder(root, TRANSFORM)
    options = {"batch_sampler": [[0, 1], [2, 99, 3], [4, 5], [6]], "num_workers": num_workers}
    ours, _ = outcomes(fastload.DataLoader(dataset, **options))
    stock, _ = outcomes(torch.utils.data.DataLoader(dataset, **options))
    assert isinstance(ours[1], IndexError) and isinstance(stock[1], IndexError)
    for slot in (0, 2, 3):
        assert torch.equal(ours[slot][0], stock[slot][0])


SETS = {
    "folder": lambda root, transform: ImageFolder(root, transform),
    "ours": lambda root, transform: fastload.ImageFolder(root, transform),
    "subset": lambda root, transform: Subset(ImageFolder(root, transform), [5, -1, 0, -7]),
    "concat": lambda root, transform: ConcatDataset(
        [ImageFolder(root, transform), Subset(ImageFolder(root, transform), [3])]
    ),
}
INDICES = [
    -1,
    -4,
    -16,
    -17,
    -400,
    16,
    np.int64(-2),
    torch.tensor(-3),
    True,
    2**70,
    -(2**70),
    1.0,
    "a",
    None,
    slice(0, 1),
    (1, 2),
]


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("ends", [[], [lambda tensor: tensor + 1]], ids=["threads", "Python"])
def test_any_index_is_as_stocks(root, kind, num_workers, ends):
    transform = v1.Compose([*TRANSFORM.transforms, *ends])
    options = {"batch_sampler": [[index] for index in INDICES], "num_workers": num_workers}
    ours, _ = outcomes(fastload.DataLoader(SETS[kind](root, transform), **options))
    stock, _ = outcomes(torch.utils.data.DataLoader(SETS[kind](root, transform), **options))
    assert len(ours) == len(stock) == len(INDICES) and isinstance(ours[0], list)
    for index, mine, theirs in zip(INDICES, ours, stock, strict=True):
        if isinstance(theirs, Exception):
            cause = next(kind for kind in (IndexError, TypeError, ValueError) if isinstance(theirs, kind))
            assert isinstance(mine, cause), index
            assert (
                str(mine).splitlines()[-1].rpartition("Error: ")[2]
                == str(theirs).splitlines()[-1].rpartition("Error: ")[2]
            )
            if isinstance(mine, fastload.FastloadError):
                assert f"sample {index!r}: " in str(mine)
        else:
            assert all(map(torch.equal, mine, theirs)), index


def test_damage_that_the_window_does_not_reach(tmp_path):
    """A truncated file fails, whatever the crop: here it looks at the first rows only."""
    image = picture(1, 200, 300)
    image.save(tmp_path / "whole.jpg", quality=90)
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 3 // 4])
    top = v1.Compose([v1.Resize((300, 200)), v1.RandomCrop((300, 200)), v1.CenterCrop((10, 10)), v1.ToTensor()])
    list(fastload.DataLoader(fastload.ImageFiles([tmp_path / "whole.jpg"], transform=top)))
    with pytest.raises(OSError, match="truncated"):
        list(fastload.DataLoader(fastload.ImageFiles([tmp_path / "cut.jpg"], transform=top)))


def test_random_damage_is_judged_as_pillow_judges_it(tmp_path):
    """Flipped bytes, cuts and insertions: the same batches, the same refusals."""
    rng = np.random.default_rng(8)
    paths = []
    for number in range(150):
        data = bytearray(jpeg_bytes(number % 12, 70, 50))
        for _ in range(int(rng.integers(1, 4))):
            kind, at = rng.integers(0, 4), int(rng.integers(2, len(data)))
            if kind == 0:
                data[at] = int(rng.integers(0, 256))
            elif kind == 1:
                del data[at:]
            elif kind == 2:
                data[at:at] = rng.integers(0, 256, 5, dtype=np.uint8).tobytes()
            else:
                del data[at : at + 7]
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(bytes(data))
        paths.append(path)
    dataset = fastload.ImageFiles(paths, transform=v1.Compose([v1.RandomResizedCrop(32), v1.ToTensor()]))
    ours, our_state = outcomes(fastload.DataLoader(dataset, batch_size=1))
    stock, stock_state = outcomes(torch.utils.data.DataLoader(dataset, batch_size=1))
    assert sum(isinstance(outcome, Exception) for outcome in stock) > 10
    for mine, theirs in zip(ours, stock, strict=True):
        if isinstance(theirs, Exception):
            assert isinstance(mine, type(theirs)) and isinstance(mine, fastload.FastloadError)
        else:
            assert torch.equal(mine, theirs)
    assert torch.equal(our_state, stock_state)


def test_errors_pickle(root):
    dataset = ImageFolder(root, TRANSFORM)
    damage_missing(root / "class0" / "001.jpg")
    with pytest.raises(fastload.ReadError) as caught:
        list(fastload.DataLoader(dataset, 4))
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value) and (again.index, again.path) == (caught.value.index, caught.value.path)
    assert str(again) == str(caught.value)


def test_policies_need_native_samples():
    with pytest.raises(ValueError, match=r"on_error.*no ImageFolder"):
        iter(fastload.DataLoader([1, 2], on_error="skip"))
