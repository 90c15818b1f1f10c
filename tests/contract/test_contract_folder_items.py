"""torchvision's folder data sets: items, pixels and errors, each on torchvision's ImageFolder and on fastload's.

What is promised about pixels and errors is also asked of both loaders over both data sets.
"""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
from torchvision.datasets.folder import pil_loader

import fastload
from images import picture

FOLDERS = [
    pytest.param(torchvision.datasets.ImageFolder, id="torchvision"),
    pytest.param(fastload.ImageFolder, id="fastload"),
]
LOADERS = [pytest.param(torch.utils.data.DataLoader, id="stock"), pytest.param(fastload.DataLoader, id="fastload")]
TO_TENSOR = v1.Compose([v1.CenterCrop(48), v1.PILToTensor()])


@pytest.fixture(params=FOLDERS)
def Folder(request):
    return request.param


def write(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, 52, 50).save(path, "JPEG")
    return path


@pytest.fixture
def root(tmp_path):
    """Two classes of three images."""
    for number in range(6):
        write(tmp_path / "root" / "ab"[number // 3] / f"{number}.jpg", number)
    return tmp_path / "root"


# Items


def test_items(Folder, root):
    """A pair; first the image's transform, then the target's."""
    calls = []
    dataset = Folder(root, lambda image: calls.append(image) or "x", lambda target: calls.append(target) or "y")
    assert dataset[4] == ("x", "y") and type(dataset[4]) is tuple
    assert calls[0].mode == "RGB" and calls[0].size == (52, 50) and calls[1] == 1
    image, target = Folder(root)[-1]
    assert image.tobytes() == PIL.Image.open(root / "b" / "5.jpg").tobytes() and target == 1
    assert Folder(root)[np.int64(2)][1] == 0 and Folder(root)[torch.tensor(3)][1] == 1
    for index in (6, -7):
        with pytest.raises(IndexError):
            Folder(root)[index]
    for index in (slice(0, 2), "0", 1.0, None):
        with pytest.raises((TypeError, AttributeError)):
            Folder(root)[index]


def test_what_users_change_counts_at_once(Folder, Loader, root):
    dataset = Folder(root, TO_TENSOR)
    dataset.samples = [(path, target + 10) for path, target in dataset.samples if not path.endswith("1.jpg")]
    assert (
        len(dataset) == 5 and dataset[1][1] == 10 and dataset.targets == [0, 0, 0, 1, 1, 1] and len(dataset.imgs) == 6
    )
    images, targets = next(iter(Loader(dataset, 5)))
    assert targets.tolist() == [10, 10, 11, 11, 11]
    assert torch.equal(images[1], TO_TENSOR(pil_loader(root / "a" / "2.jpg")))
    dataset.targets = dataset.imgs = []  # only samples count
    dataset.transform = v1.Compose([v1.CenterCrop(8), v1.ToTensor()])
    dataset.target_transform = float
    images, targets = next(iter(Loader(dataset, 5)))
    assert images.shape == (5, 3, 8, 8) and images.dtype == torch.float32
    assert targets.dtype == torch.float64 and type(dataset[0][1]) is float
    dataset.transform, dataset.loader = TO_TENSOR, lambda path: PIL.Image.new("RGB", (50, 50), "red")
    assert next(iter(Loader(dataset, 5)))[0][:, 0].eq(255).all()
    dataset.samples.append((str(root / "nowhere.jpg"), 3))
    assert len(dataset) == 6 and next(iter(Loader(dataset, 6)))[1].tolist() == [10, 10, 11, 11, 11, 3]


# Pixels: default_loader opens what the file holds with Pillow and converts it to RGB


def rgb(path) -> torch.Tensor:
    """Said in Pillow's words, without torchvision's."""
    with PIL.Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def write_modes(folder: Path) -> None:
    """Files of every mode that Pillow converts, and some that are not what they are called."""
    folder.mkdir(parents=True)
    image = picture(1, 52, 50)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees, says the camera
    image.save(folder / "exif.jpg", exif=exif)
    image.save(folder / "icc.jpg", icc_profile=b"\0" * 128 + b"no profile")
    for mode in ("L", "CMYK"):
        image.convert(mode).save(folder / f"{mode}.jpg")
    for mode in ("1", "L", "P", "LA", "RGBA"):
        image.convert(mode).save(folder / f"{mode}.png")
    transparent = image.copy()
    transparent.putalpha(PIL.Image.linear_gradient("L").resize(image.size))
    transparent.save(folder / "transparent.png")
    PIL.Image.fromarray(np.arange(52 * 50, dtype=np.uint16).reshape(50, 52) * 25).save(folder / "16-bit.png")
    image.save(folder / "webp.webp", lossless=True)
    for extension in ("bmp", "ppm", "tiff"):
        image.save(folder / f"image.{extension}")
    image.convert("L").save(folder / "image.pgm")
    shutil.copy(folder / "RGBA.png", folder / "is png.jpg")
    shutil.copy(folder / "exif.jpg", folder / "is jpeg.png")
    image.save(folder / "is gif.jpg", "GIF")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_kind_of_image(Folder, Loader, tmp_path, num_workers):
    write_modes(tmp_path / "a")
    dataset = Folder(tmp_path)
    expected = [rgb(path) for path, _ in dataset.samples]
    assert len(expected) == 19 and all(image.shape == (3, 50, 52) for image in expected)  # EXIF turns nothing
    for (image, _), wanted in zip(dataset, expected, strict=True):
        assert type(image) is PIL.Image.Image and image.mode == "RGB"
        assert torch.equal(v1.functional.pil_to_tensor(image), wanted)
    dataset.transform = v1.Compose([v1.Resize((50, 52)), v1.PILToTensor()])  # the size that they have
    images = torch.cat([images for images, _ in Loader(dataset, 4, num_workers=num_workers)])
    assert torch.equal(images, torch.stack(expected))


def test_alpha_is_dropped_and_not_composited(Folder, Loader, tmp_path):
    (tmp_path / "a").mkdir()
    PIL.Image.new("RGBA", (50, 50), (10, 20, 30, 0)).save(tmp_path / "a" / "clear.png")
    images, _ = next(iter(Loader(Folder(tmp_path, TO_TENSOR))))
    assert images[0, :, 5, 5].tolist() == [10, 20, 30]


def test_the_image_backend_counts(Folder, Loader, root, monkeypatch):
    """accimage is asked where torchvision was told to; it is not installed."""
    monkeypatch.setattr(torchvision, "_image_backend", "accimage")
    dataset = Folder(root, TO_TENSOR)
    for use in (lambda: dataset[0], lambda: next(iter(Loader(dataset)))):
        with pytest.raises(ModuleNotFoundError, match="accimage"):
            use()


# Errors


def first_error(Loader, dataset, num_workers):
    iterator = iter(Loader(dataset, num_workers=num_workers))
    try:
        next(iterator)
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # torch's, from a worker, hold themselves and the iterator
        return error.with_traceback(None)
    raise AssertionError("no error")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_damaged_files(Folder, Loader, root, num_workers):
    path = root / "a" / "0.jpg"
    whole = path.read_bytes()
    dataset = Folder(root, TO_TENSOR)

    path.write_text("no image")
    with pytest.raises(PIL.UnidentifiedImageError) as caught:
        dataset[0]
    assert str(caught.value) == f"cannot identify image file <_io.BufferedReader name='{path}'>"
    error = first_error(Loader, dataset, num_workers)
    assert isinstance(error, PIL.UnidentifiedImageError) and isinstance(error, OSError)
    assert f"cannot identify image file <_io.BufferedReader name='{path}'>" in str(error)

    path.write_bytes(whole[:-300])
    with pytest.raises(OSError, match=r"image file is truncated \(\d+ bytes not processed\)"):
        dataset[0]
    error = first_error(Loader, dataset, num_workers)
    assert isinstance(error, OSError) and "image file is truncated (" in str(error)

    path.unlink()
    with pytest.raises(FileNotFoundError):
        dataset[0]
    error = first_error(Loader, dataset, num_workers)
    assert isinstance(error, FileNotFoundError) and str(path) in str(error)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_truncated_files_may_be_accepted(Folder, Loader, root, monkeypatch, num_workers):
    """Where the user told Pillow to fill up what is missing."""
    path = root / "a" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    dataset = Folder(root, TO_TENSOR)
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    expected = v1.functional.center_crop(rgb(path), 48)
    assert torch.equal(dataset[0][0], expected)
    assert torch.equal(next(iter(Loader(dataset, num_workers=num_workers)))[0][0], expected)


def test_decompression_bombs(Folder, Loader, root, monkeypatch):
    """A warning above Pillow's limit, an error above twice the limit."""
    dataset = Folder(root, TO_TENSOR)
    expected = dataset[0][0]
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 52 * 50 - 1)
    text = r"Image size \(2600 pixels\) exceeds limit of 2599 pixels"
    with pytest.warns(PIL.Image.DecompressionBombWarning, match=text):
        assert torch.equal(dataset[0][0], expected)
    with pytest.warns(PIL.Image.DecompressionBombWarning, match=text):
        assert torch.equal(next(iter(Loader(dataset)))[0][0], expected)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 52 * 50 // 2 - 1)
    text = r"Image size \(2600 pixels\) exceeds limit of 2598 pixels"
    for use in (lambda: dataset[0], lambda: next(iter(Loader(dataset)))):
        with pytest.raises(PIL.Image.DecompressionBombError, match=text):
            use()
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    assert torch.equal(next(iter(Loader(dataset)))[0][0], expected)
