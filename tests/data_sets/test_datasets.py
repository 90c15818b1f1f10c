"""Data sets of our own: torchvision's, but for the memory of the index."""

from __future__ import annotations

import pickle

import pytest
import torch
import torchvision.datasets
import torchvision.transforms as v1

import fastload
from children import run_script
from fastload.datasets.sample_table import SampleTable
from images import write_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=10)
    deeper = root / "class1" / "deeper" / "still"
    deeper.mkdir(parents=True)
    (root / "class0" / "000.jpg").rename(deeper / "Größe .JPG")
    (root / "class2" / "notes.txt").write_text("no image")
    (root / "class2" / ".hidden.jpg").write_bytes((root / "class2" / "001.jpg").read_bytes())
    (root / "stray.jpg").write_bytes(b"")
    return root


def test_image_folder_is_torchvisions(root):
    ours, theirs = fastload.ImageFolder(root), torchvision.datasets.ImageFolder(root)
    assert isinstance(ours, torchvision.datasets.ImageFolder)
    assert ours.samples == theirs.samples and list(ours.samples) == theirs.samples and ours.imgs is ours.samples
    assert (ours.targets, ours.classes, ours.class_to_idx) == (theirs.targets, theirs.classes, theirs.class_to_idx)
    assert ours.samples[-1] == theirs.samples[-1] and ours.samples[2:9:3] == theirs.samples[2:9:3]
    assert len(ours) == len(theirs) and repr(ours).splitlines()[1:] == repr(theirs).splitlines()[1:]
    assert ours[3][0].tobytes() == theirs[3][0].tobytes()
    with pytest.raises(IndexError):
        ours[len(ours)]
    with pytest.raises(IndexError):
        ours.samples[-len(ours) - 1]
    assert pickle.loads(pickle.dumps(ours)).samples == theirs.samples


def same_error(make):
    errors = []
    for cls in (fastload.ImageFolder, torchvision.datasets.ImageFolder):
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            make(cls)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def test_image_folder_fails_as_torchvisions(root, tmp_path):
    same_error(lambda cls: cls(root / "nowhere"))
    same_error(lambda cls: cls(tmp_path))
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    same_error(lambda cls: cls(tmp_path))
    same_error(lambda cls: cls(tmp_path, is_valid_file=lambda path: True))
    assert len(fastload.ImageFolder(tmp_path, allow_empty=True)) == 0


def test_image_folder_with_a_rule_of_its_own(root):
    def rule(path):
        return path.endswith("1.jpg")

    ours = fastload.ImageFolder(root, is_valid_file=rule, allow_empty=True)
    assert ours.samples == torchvision.datasets.ImageFolder(root, is_valid_file=rule, allow_empty=True).samples


def test_image_files(root):
    paths = sorted((root / "class1").rglob("*.[jJ]*"))
    dataset = fastload.ImageFiles(paths, range(len(paths)), v1.ToTensor(), lambda target: -target)
    assert len(dataset) == len(paths) and dataset.targets == list(range(len(paths)))
    image, target = dataset[4]
    expected = v1.ToTensor()(torchvision.datasets.folder.pil_loader(str(paths[4])))
    assert torch.equal(image, expected) and target == -4
    assert torch.equal(fastload.ImageFiles(paths, transform=v1.ToTensor())[4], expected)
    assert fastload.ImageFiles(paths).targets is None
    with pytest.raises(ValueError, match="zip"):
        fastload.ImageFiles(paths, [1, 2])
    with pytest.raises(ValueError, match="null byte"):
        list(
            fastload.DataLoader(fastload.ImageFiles(["a\0b"], transform=v1.Compose([v1.Resize((4, 4)), v1.ToTensor()])))
        )


def test_table_keeps_every_path():
    samples = [("/a/b/c.jpg", 3), ("c.jpg", -1), ("/a/b/", 2**40), ("/", 0), ("/a/b/ü\udcff.jpg", 5), ("", 1)]
    table = SampleTable(samples)
    assert list(table) == samples and table == samples and table != samples[:-1] and len(table) == 6


def test_an_index_of_imagenets_size_is_small():
    """1.28 million made-up names: under 200 bytes each, and a loader adds nothing."""
    code = """
        import os
        import fastload, torchvision.transforms as T

        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        count = 1_280_000
        names = (f"/mnt/storage/imagenet/train/n{c % 1000:08d}/n{c % 1000:08d}_{c}.JPEG" for c in range(count))
        transform = T.Compose([T.RandomResizedCrop(32), T.ToTensor()])
        fastload.DataLoader(fastload.ImageFiles(["a"], [0], transform)).explain()  # what the first loader imports
        before = resident()
        data = fastload.ImageFiles(names, (c % 1000 for c in range(count)), transform)
        built = resident()
        loader = fastload.DataLoader(data, batch_size=64, num_workers=2)
        assert loader.explain().startswith("native")
        print((built - before) / count, data.samples.memory_bytes / count, (resident() - built) / count)
    """
    ended = run_script(code)
    assert ended.returncode == 0, ended.stderr
    grown, held, added = map(float, ended.stdout.split())
    assert grown < 200 and held < 200 and added < 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(protocol):
    files = fastload.ImageFiles(["/a.jpg", "/\udcff\n.png"], [3, 4])
    again = pickle.loads(pickle.dumps(files, protocol=protocol))
    assert list(again.samples) == list(files.samples) == [("/a.jpg", 3), ("/\udcff\n.png", 4)]


@pytest.mark.parametrize("one", ["train/dog", b"train/dog", "ftp://host/train/"])
def test_one_path_is_no_list_of_its_characters(one):
    with pytest.raises(TypeError, match=r"fastload\.ImageFolder reads a folder of class folders"):
        fastload.ImageFiles(one)
