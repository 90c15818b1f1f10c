"""torchvision's folder data sets: what they are and which files they list, each on torchvision's ImageFolder and on fastload's."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
from torchvision.datasets import DatasetFolder, VisionDataset
from torchvision.datasets.folder import default_loader, pil_loader

import fastload
from images import picture

FOLDERS = [
    pytest.param(torchvision.datasets.ImageFolder, id="torchvision"),
    pytest.param(fastload.ImageFolder, id="fastload"),
]
LOADERS = [pytest.param(torch.utils.data.DataLoader, id="stock"), pytest.param(fastload.DataLoader, id="fastload")]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TO_TENSOR = v1.Compose([v1.CenterCrop(48), v1.PILToTensor()])


@pytest.fixture(params=FOLDERS)
def Folder(request):
    return request.param


def write(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, 52, 50).save(path, "JPEG")
    return path


def touch(root: Path, *names: str) -> Path:
    """Empty files: no folder data set looks into them before they are asked for."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(dataset, root: Path) -> list[str]:
    return [os.path.relpath(path, root) for path, _ in dataset.samples]


@pytest.fixture
def root(tmp_path):
    """Two classes of three images."""
    for number in range(6):
        write(tmp_path / "root" / "ab"[number // 3] / f"{number}.jpg", number)
    return tmp_path / "root"


# What it is


def test_signature(Folder):
    parameters = inspect.signature(Folder).parameters.values()
    assert [(p.name, p.default) for p in parameters if p.kind is not p.KEYWORD_ONLY] == [
        ("root", inspect.Parameter.empty),
        ("transform", None),
        ("target_transform", None),
        ("loader", default_loader),
        ("is_valid_file", None),
        ("allow_empty", False),
    ]
    assert issubclass(Folder, torchvision.datasets.ImageFolder) and issubclass(Folder, (DatasetFolder, VisionDataset))


def test_attributes(Folder, root):
    def transform(image):
        return image

    dataset = Folder(str(root), transform)
    attributes = (
        "root transform target_transform transforms loader extensions classes class_to_idx samples targets imgs"
    )
    assert {name for name in vars(dataset) if not name.startswith("_")} == set(attributes.split())
    assert dataset.root == str(root) and dataset.transform is transform and dataset.target_transform is None
    assert dataset.loader is default_loader and dataset.extensions == EXTENSIONS
    assert dataset.classes == ["a", "b"] and dataset.class_to_idx == {"a": 0, "b": 1}
    assert dataset.imgs is dataset.samples
    assert type(dataset.targets) is list and dataset.targets == [0, 0, 0, 1, 1, 1]


def test_samples_are_a_sequence_of_pairs(Folder, root):
    """A list in torchvision; the other is read-only, and does all else that lists do."""
    expected = [(str(root / "ab"[n // 3] / f"{n}.jpg"), n // 3) for n in range(6)]
    samples = Folder(str(root)).samples
    assert isinstance(samples, Sequence)
    assert list(samples) == expected and samples == expected and expected == samples
    assert all(type(pair) is tuple and type(pair[0]) is str and type(pair[1]) is int for pair in samples)
    assert (len(samples), samples[0], samples[-1]) == (6, expected[0], expected[-1])
    assert (samples[1:5:2], samples[:-7:-1]) == (expected[1:5:2], expected[::-1])
    assert expected[3] in samples and ("", 0) not in samples and samples.index(expected[4]) == 4
    assert samples.count(expected[2]) == 1 and list(reversed(samples)) == expected[::-1]
    for index in (6, -7):
        with pytest.raises(IndexError):
            samples[index]


def test_root(Folder, root, monkeypatch):
    """A text is expanded, a Path is kept; paths of samples are texts that begin with the root as it was given."""
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.chdir(root.parent)
    assert Folder("~/root").root == str(root) and Folder("~/root").samples[0][0] == str(root / "a" / "0.jpg")
    assert type(Folder(root).root) is type(root) and Folder(root).samples[0][0] == str(root / "a" / "0.jpg")
    for given in ("root", "./root", "root/", str(root) + "/.", "root/../root"):
        assert Folder(given).root == given
        assert Folder(given).samples[0][0] == os.path.join(given, "a", "0.jpg")


def test_transforms_are_not_used_by_items(Folder, root):
    dataset = Folder(root, transform=lambda image: "image", target_transform=lambda target: "target")
    assert dataset.transforms("x", 1) == ("image", "target")
    dataset.transforms = None
    assert dataset[0] == ("image", "target")
    assert Folder(root).transforms is None


def test_representation(Folder, root):
    transform = v1.Compose([v1.CenterCrop(4)])
    assert repr(Folder(root)).splitlines() == [
        "Dataset ImageFolder",
        "    Number of datapoints: 6",
        f"    Root location: {root}",
    ]
    assert repr(Folder(root, transform)).splitlines()[3:] == [
        "    StandardTransform",
        "Transform: Compose(",
        "               CenterCrop(size=(4, 4))",
        "           )",
    ]


@pytest.mark.parametrize("twin", [lambda d: pickle.loads(pickle.dumps(d)), copy.copy, copy.deepcopy])
def test_copies(Folder, root, twin):
    dataset = twin(Folder(root, TO_TENSOR))
    assert type(dataset) is Folder and dataset.samples == Folder(root).samples and dataset.targets == [0, 0, 0, 1, 1, 1]
    assert torch.equal(dataset[4][0], Folder(root, TO_TENSOR)[4][0])


# Which files


def test_classes_are_sorted_by_code_point(Folder, tmp_path):
    touch(tmp_path, "b/x.jpg", "Z/x.jpg", "a/x.jpg", "ä/x.jpg", ".hidden/x.jpg", "10/x.jpg", "9/x.jpg", "stray.jpg")
    dataset = Folder(tmp_path)
    assert dataset.classes == [".hidden", "10", "9", "Z", "a", "b", "ä"]
    assert dataset.class_to_idx == {name: index for index, name in enumerate(dataset.classes)}
    assert dataset.targets == list(range(7))
    assert names(dataset, tmp_path) == [f"{name}/x.jpg" for name in dataset.classes]


def test_links_to_folders_are_followed(Folder, tmp_path):
    touch(tmp_path / "elsewhere", "x.jpg", "deep/y.jpg")
    touch(tmp_path / "root", "b/x.jpg")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "b" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "c").symlink_to(tmp_path / "nowhere")
    dataset = Folder(tmp_path / "root")
    assert dataset.classes == ["a", "b"]
    assert names(dataset, tmp_path / "root") == [
        "a/x.jpg",
        "a/deep/y.jpg",
        "b/x.jpg",
        "b/link/x.jpg",
        "b/link/deep/y.jpg",
    ]


def test_files_are_sorted_within_folders_sorted_by_their_whole_path(Folder, tmp_path):
    touch(tmp_path, "a/9.jpg", "a/10.jpg", "a/Z.jpg", "a/.hidden.jpg", "a/x/2.jpg", "a/x-y/1.jpg", "a/x/y/0.jpg")
    expected = [".hidden.jpg", "10.jpg", "9.jpg", "Z.jpg", "x/2.jpg", "x-y/1.jpg", "x/y/0.jpg"]
    folders = sorted({os.path.dirname(f"a/{name}") for name in expected})
    assert folders == ["a", "a/x", "a/x-y", "a/x/y"]
    assert names(Folder(tmp_path), tmp_path) == [f"a/{name}" for name in expected]


def test_extensions(Folder, tmp_path):
    """Those of images, in any case; nobody looks into the files, and links to nothing count."""
    wanted = [f"a/{number}{extension}" for number, extension in enumerate(EXTENSIONS)]
    touch(tmp_path, *wanted, "a/A.JPG", "a/B.jPeG", "a/c.gif", "a/d.txt", "a/e", "a/f.jpg.zip", "a/jpg", "a/gjpg")
    (tmp_path / "a" / "link.jpg").symlink_to("nowhere")
    (tmp_path / "a" / "folder.jpg").mkdir()
    assert names(Folder(tmp_path), tmp_path) == [*wanted, "a/A.JPG", "a/B.jPeG", "a/link.jpg"]


def test_names_that_are_no_text(Folder, tmp_path):
    """Bytes that no encoding explains come through the file system's own escape."""
    folder = tmp_path / "a"
    folder.mkdir()
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.jpg"))).write_bytes(write(tmp_path / "x.jpg").read_bytes())
    dataset = Folder(tmp_path, TO_TENSOR)
    assert names(dataset, tmp_path) == ["a/\udcff\udcfe.jpg"]
    assert dataset[0][0].shape == (3, 48, 48)


def test_a_rule_for_files(Folder, tmp_path):
    """It is asked with whole paths, whatever the extension."""
    touch(tmp_path, "a/x.jpg", "a/deep/y.txt", "b/z.dat")
    asked = []

    def rule(path):
        asked.append(path)
        return not path.endswith(".jpg")

    dataset = Folder(str(tmp_path), is_valid_file=rule)
    assert asked == [str(tmp_path / name) for name in ("a/x.jpg", "a/deep/y.txt", "b/z.dat")]
    assert names(dataset, tmp_path) == ["a/deep/y.txt", "b/z.dat"] and dataset.extensions is None


def test_empty_classes(Folder, tmp_path):
    touch(tmp_path, "c/x.jpg", "b/x.txt")
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        Folder(tmp_path)
    extensions = "Supported extensions are: .jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, .tiff, .webp"
    assert str(caught.value) == f"Found no valid file for the classes a, b. {extensions}"
    with pytest.raises(FileNotFoundError) as caught:
        Folder(tmp_path, is_valid_file=lambda path: path.endswith("x.jpg"))
    assert str(caught.value) == "Found no valid file for the classes a, b. "
    dataset = Folder(tmp_path, allow_empty=True)
    assert dataset.classes == ["a", "b", "c"] and dataset.targets == [2]
    shutil.rmtree(tmp_path / "c")
    assert len(Folder(tmp_path, allow_empty=True)) == 0


def test_no_classes(Folder, tmp_path):
    touch(tmp_path, "x.jpg")
    with pytest.raises(FileNotFoundError) as caught:
        Folder(tmp_path)
    assert str(caught.value) == f"Couldn't find any class folder in {tmp_path}."
    with pytest.raises(FileNotFoundError, match="No such file or directory") as caught:
        Folder(tmp_path / "nowhere")
    assert caught.value.errno == 2 and str(caught.value.filename) == str(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError):
        Folder(tmp_path / "x.jpg")


def test_make_dataset(Folder, root):
    """Also without an instance; its errors say what was wrong."""
    assert list(Folder.make_dataset(root, {"b": 7}, extensions=".jpg")) == [
        (str(root / "b" / f"{number}.jpg"), 7) for number in (3, 4, 5)
    ]
    assert list(Folder.make_dataset(str(root), {"a": 0}, (".JPG",), allow_empty=True)) == []
    assert list(Folder.make_dataset(root, {"nowhere": 0}, (".jpg",), allow_empty=True)) == []
    for arguments in [{}, {"extensions": (".jpg",), "is_valid_file": os.path.isfile}]:
        with pytest.raises(ValueError) as caught:
            Folder.make_dataset(root, {"a": 0}, **arguments)
        assert str(caught.value) == "Both extensions and is_valid_file cannot be None or not None at the same time"
    with pytest.raises(ValueError) as caught:
        Folder.make_dataset(root, None, extensions=(".jpg",))
    assert str(caught.value) == "The class_to_idx parameter cannot be None."
    with pytest.raises(ValueError) as caught:
        Folder.make_dataset(root, {}, extensions=(".jpg",))
    assert str(caught.value) == "'class_to_index' must have at least one entry to collect any samples."


# Subclasses


def test_subclass_with_classes_of_its_own(Folder, Loader, root):
    class Some(Folder):
        def find_classes(self, directory):
            assert directory == self.root == str(root)
            return ["b"], {"b": 5}

    dataset = Some(str(root), TO_TENSOR)
    assert (dataset.classes, dataset.class_to_idx, dataset.targets) == (["b"], {"b": 5}, [5, 5, 5])
    assert [targets.tolist() for _, targets in Loader(dataset, 2)] == [[5, 5], [5]]


def test_subclass_with_a_list_of_its_own(Folder, Loader, root):
    given = []

    class Listed(Folder):
        @staticmethod
        def make_dataset(directory, class_to_idx, extensions=None, is_valid_file=None, allow_empty=False):
            given.append((directory, class_to_idx, extensions, is_valid_file, allow_empty))
            return [(os.path.join(directory, "b", "3.jpg"), 9)]

    dataset = Listed(str(root), TO_TENSOR)
    assert given == [(str(root), {"a": 0, "b": 1}, EXTENSIONS, None, False)]
    assert dataset.samples == [(str(root / "b" / "3.jpg"), 9)] and dataset.targets == [9]
    ((images, targets),) = Loader(dataset)
    assert torch.equal(images[0], TO_TENSOR(pil_loader(root / "b" / "3.jpg"))) and targets.tolist() == [9]


def test_subclass_with_items_of_its_own(Folder, Loader, root):
    class Longer(Folder):
        def __getitem__(self, index):
            return (*super().__getitem__(index), index)

    images, targets, indices = next(iter(Loader(Longer(root, TO_TENSOR), 6)))
    assert indices.tolist() == [0, 1, 2, 3, 4, 5] and targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(images[5], TO_TENSOR(pil_loader(root / "b" / "5.jpg")))


def test_a_loader_of_ones_own(Folder, Loader, root):
    def half(path):
        assert type(path) is str
        with PIL.Image.open(path) as image:
            return image.convert("RGB").resize((26, 25))

    dataset = Folder(root, TO_TENSOR, loader=half)
    assert dataset.loader is half
    images, _ = next(iter(Loader(dataset, 3)))
    assert torch.equal(images[2], TO_TENSOR(half(str(root / "a" / "2.jpg"))))


@pytest.mark.parametrize("Loader", LOADERS)
def test_dataset_folder(Loader, tmp_path):
    """Of other files than images."""
    (tmp_path / "a").mkdir()
    for number in range(3):
        np.save(tmp_path / "a" / f"{number}.npy", np.full((2, 2), number))
    dataset = DatasetFolder(str(tmp_path), np.load, extensions=(".npy",), transform=torch.from_numpy)
    assert [images[:, 0, 0].tolist() for images, _ in Loader(dataset, 2)] == [[0, 1], [2]]
    for arguments in [{}, {"extensions": (".npy",), "is_valid_file": os.path.isfile}]:
        with pytest.raises(ValueError, match="Both extensions and is_valid_file cannot be None or not None"):
            DatasetFolder(tmp_path, np.load, **arguments)
