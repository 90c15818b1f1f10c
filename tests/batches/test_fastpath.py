"""The fast path is lost: a warning says so once, explain() gives every reason, require_native() raises."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import DatasetFolder, FakeData, ImageFolder
from torchvision.datasets.folder import pil_loader

import fastload
from children import run_script
from contract import Numbers
from images import write_folder

SEEN = []
TRANSFORM = v1.Compose([v1.RandomResizedCrop(16), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=2, largest=48)


def ours(caught) -> list[str]:
    return [str(one.message) for one in caught if issubclass(one.category, fastload.FastloadWarning)]


def told(loader, times: int = 1) -> list[str]:
    """What a loader warns of while it is iterated, so many times."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            for _ in loader:
                pass
    return ours(caught)


class OwnItems(ImageFolder):
    def __getitem__(self, index):
        return super().__getitem__(index)


class OwnBatches(ImageFolder):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


class Wrapped(Dataset):
    """A data set that changes the items of another one."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]


class Streamed(IterableDataset):
    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __iter__(self):
        return (self.dataset[index] for index in range(len(self.dataset)))


class Named(Dataset):
    """What many programs write themselves: a list of paths, and Pillow."""

    def __init__(self, paths) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        return TRANSFORM(Image.open(path[0] if isinstance(path, tuple) else path).convert("RGB"))


class HoldsACompose:
    """And counts its images."""

    def __init__(self, transform) -> None:
        self.transform = transform
        self.count = 0

    def __call__(self, image):
        self.count += 1
        return self.transform(image)


def own_loader(path):
    return pil_loader(path).rotate(180)


def same(thing):
    return thing


def seen(thing):
    SEEN.append(thing)
    return thing


def turned(image):
    return image.rotate(180)


def paths_of(root) -> list[str]:
    return [path for path, _ in ImageFolder(root).samples]


def arrays(root: Path) -> Path:
    (root / "class0").mkdir(parents=True, exist_ok=True)
    np.save(root / "class0" / "0.npy", np.zeros(3))
    return root


def collated(items):
    return list(torch.utils.data.default_collate(items))


def bent(root, step):
    """The data set with a step first."""
    return ImageFolder(root, v1.Compose([step, *TRANSFORM.transforms]))


LOST = {
    "subclass": (
        lambda root: OwnItems(root, TRANSFORM),
        {},
        ["OwnItems overrides `__getitem__`", "fastload.install()"],
    ),
    "items by the list": (lambda root: OwnBatches(root, TRANSFORM), {}, ["OwnBatches defines __getitems__"]),
    "loader": (
        lambda root: ImageFolder(root, TRANSFORM, loader=own_loader),
        {},
        ["loader of its own", "leave out loader="],
    ),
    "no transform": (lambda root: ImageFolder(root), {"collate_fn": same}, ["there is none", "a collate_fn"]),
    "target_transform": (lambda root: ImageFolder(root, TRANSFORM, seen), {}, ["there is a target_transform"]),
    "collate_fn": (lambda root: ImageFolder(root, TRANSFORM), {"collate_fn": collated}, ["there is a collate_fn"]),
    "batch_size": (lambda root: ImageFolder(root, TRANSFORM), {"batch_size": None}, ["batch_size=None"]),
    "argument": (
        lambda root: ImageFolder(root, v1.Compose([v1.CenterCrop(30), v1.GaussianBlur(3, (0.1, 2000)), v1.ToTensor()])),
        {},
        ["GaussianBlur and what follows runs in Python", "GaussianBlur: sigma=(0.1, 2000)"],
    ),
    "first step": (
        lambda root: bent(root, v2.JPEG(50)),
        {},
        ["no transform is native", "JPEG: it writes"],
    ),
    "later step": (
        lambda root: ImageFolder(root, v1.Compose([*TRANSFORM.transforms, v1.Lambda(torch.abs)])),
        {},
        ["Lambda and what follows runs in Python"],
    ),
    "wrapper": (
        lambda root: ImageFolder(root, HoldsACompose(TRANSFORM)),
        {},
        [
            "HoldsACompose: not one of the transforms",
            "if calling its transform is all that it does, give the data set that",
        ],
    ),
    "sizes": (
        lambda root: ImageFolder(root, v1.Compose([v1.Resize(16), v1.ToTensor()])),
        {"batch_size": 1},
        ["images of different sizes", "Resize((height, width))"],
    ),
    "held": (lambda root: Wrapped(ImageFolder(root, TRANSFORM)), {}, ["Wrapped is no ImageFolder"]),
    "held in a list": (
        lambda root: Wrapped(ConcatDataset([OwnItems(root, TRANSFORM)])),
        {},
        ["Wrapped is no ImageFolder"],
    ),
    "stream": (lambda root: Streamed(ImageFolder(root, TRANSFORM)), {}, ["iterable-style"]),
    "paths": (lambda root: Named(paths_of(root)), {}, ["Named is no ImageFolder"]),
    "path objects": (lambda root: Named(list(map(Path, paths_of(root)))), {}, ["Named is no ImageFolder"]),
    "array of paths": (lambda root: Named(np.array(paths_of(root))), {}, ["Named is no ImageFolder"]),
    "pairs": (lambda root: Named([(path, 0) for path in paths_of(root)]), {}, ["Named is no ImageFolder"]),
    "part": (lambda root: Subset(OwnItems(root, TRANSFORM), [1, 0]), {}, ["OwnItems overrides `__getitem__`"]),
    "parts": (
        lambda root: ConcatDataset([ImageFolder(root, TRANSFORM), ImageFolder(root, v1.Compose(TRANSFORM.transforms))]),
        {},
        ["the data sets have different transforms"],
    ),
}
# Nothing to do with images of files, or all is native.
SILENT = {
    "list": lambda root: [1, 2, 3],
    "tensors": lambda root: TensorDataset(torch.arange(3)),
    "numbers": lambda root: Numbers(3),
    "stream": lambda root: Streamed([1, 2]),
    "in memory": lambda root: FakeData(3, (3, 8, 8), transform=v1.ToTensor()),
    "arrays": lambda root: DatasetFolder(str(arrays(root.parent / "arrays")), np.load, (".npy",)),
    "native": lambda root: ImageFolder(root, TRANSFORM),
}


@pytest.mark.parametrize("name", LOST)
def test_one_line_with_the_reason_and_what_to_change(root, name):
    make, options, texts = LOST[name]
    loader = fastload.DataLoader(make(root), **{"batch_size": 2, **options})
    (line,) = told(loader, times=3)
    assert line.startswith("fastload: ") and "\n" not in line
    for text in texts:
        assert text in line
    assert "[" in line  # what to change
    with pytest.raises(fastload.NotNativeError) as caught:
        fastload.require_native(loader)
    assert isinstance(caught.value, ValueError)
    for reason in caught.value.reasons:
        assert reason in line and reason in str(caught.value)


@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_said_of_other_data(root, name):
    assert told(fastload.DataLoader(SILENT[name](root), batch_size=2), times=2) == []


class Untouchable:
    """Things that data sets hold, which nobody may look into: a lazy list, a data set among others."""

    def __init__(self):
        self.given = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.given += 1
        if index > 2:
            raise IndexError
        return "a.jpg"

    @property
    def iloc(self):
        raise AssertionError("this is no table")


class LazyList(Untouchable, Sequence):
    pass


class OwnList(Untouchable, list):
    pass


def holding(thing):
    dataset = Numbers(3)
    dataset.held = thing
    return dataset


@pytest.mark.parametrize("kind", [Untouchable, LazyList, OwnList])
@pytest.mark.parametrize("hold", [lambda thing: thing, lambda thing: [thing], lambda thing: [[thing]]])
def test_what_a_data_set_holds_is_not_asked_for_items(kind, hold):
    thing = kind()
    assert told(fastload.DataLoader(holding(hold(thing)), batch_size=2), times=1) == []
    assert thing.given == 0


def test_a_data_set_among_others_is_not_read_ahead():
    class Drawing(Numbers):
        def __getitem__(self, index):
            return index + torch.rand(())

    made = []
    for Loader in fastload.DataLoader, torch.utils.data.DataLoader:
        torch.manual_seed(0)
        made.append(torch.cat(list(Loader(ConcatDataset([Drawing(3), Drawing(3)]), batch_size=2))))
    assert torch.equal(*made)


@pytest.mark.parametrize(
    "held", [np.array(3), np.zeros((0, 4)), np.zeros((4, 0)), [], [[]], (), [None], [b"a.jpg"]], ids=repr
)
def test_odd_attributes(held):
    assert told(fastload.DataLoader(holding(held), batch_size=2), times=1) == []


def test_what_is_native_is_let_through(root):
    for dataset in (ImageFolder(root, TRANSFORM), fastload.ImageFiles(paths_of(root), transform=TRANSFORM)):
        assert fastload.require_native(fastload.DataLoader(dataset)) is None


def test_torchs_own_loader_is_named(root):
    with pytest.raises(fastload.NotNativeError, match=r"DataLoader is no fastload.DataLoader .*fastload.install\(\)"):
        fastload.require_native(torch.utils.data.DataLoader(ImageFolder(root, TRANSFORM)))


def test_every_reason_is_told_by_all_three(root):
    chain = v2.Compose(
        [v2.RandomResizedCrop(16), v2.JPEG(50), v2.ToImage(), v2.Lambda(torch.abs), v2.RandomHorizontalFlip()]
    )
    loader = fastload.DataLoader(
        ImageFolder(root, chain, seen), batch_size=2, collate_fn=collated, num_workers=1, worker_init_fn=seen
    )
    expected = [
        "JPEG and what follows runs in Python",
        "there is a target_transform",
        "there is a collate_fn",
        "there is a worker_init_fn",
        "Lambda: it is a function that is not known",
    ]
    lines = loader.explain().splitlines()
    assert expected[0] in lines[0]
    assert [line for line in lines if line.startswith("  also: ")] == [f"  also: {reason}" for reason in expected[1:]]
    (line,) = told(loader)
    with pytest.raises(fastload.NotNativeError) as caught:
        fastload.require_native(loader)
    assert len(caught.value.reasons) == len(expected)
    for reason, one in zip(expected, caught.value.reasons, strict=True):
        assert one.startswith(reason) and reason in line


def test_every_reason_of_a_data_set_that_stays_with_torch(root):
    parts = ConcatDataset(
        [OwnItems(root, TRANSFORM), ImageFolder(root, TRANSFORM, loader=own_loader), bent(root, turned)]
    )
    lines = fastload.DataLoader(parts, collate_fn=collated).explain().splitlines()
    assert lines[0].startswith("stock: the data set test_fastpath.OwnItems overrides `__getitem__`")
    assert [line.split(":")[1].split("(")[0].strip() for line in lines[1:]] == [
        "the data set torchvision.datasets.folder.ImageFolder has a loader of its own",
        "no transform is native",
        "there is a collate_fn",
    ]


def test_a_new_reason_is_told_when_it_comes(root):
    dataset = ImageFolder(root, TRANSFORM)
    loader = fastload.DataLoader(dataset, batch_size=2)
    assert told(loader) == []
    dataset.target_transform = seen
    (line,) = told(loader)
    assert "target_transform" in line
    dataset.transform = v1.Compose([*TRANSFORM.transforms, v1.Lambda(torch.abs)])
    (line,) = told(loader, times=2)
    assert "Lambda" in line and "target_transform" not in line


def test_each_loader_tells_and_a_copy_of_it_too(root):
    dataset = OwnItems(root, TRANSFORM)
    loader = fastload.DataLoader(dataset, batch_size=2)
    assert len(told(loader)) == 1
    assert len(told(fastload.DataLoader(dataset, batch_size=2))) == 1
    assert len(told(pickle.loads(pickle.dumps(loader)))) == 1
    assert len(told(fastload.StatefulDataLoader(dataset, batch_size=2), times=2)) == 1


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_tell_nothing_of_their_own(root, num_workers, persistent):
    if persistent and not num_workers:
        return
    loader = fastload.DataLoader(
        OwnItems(root, TRANSFORM), batch_size=2, num_workers=num_workers, persistent_workers=persistent
    )
    assert len(told(loader, times=2)) == 1


def test_the_line_that_is_named_is_the_users(root):
    loaders = [fastload.DataLoader(OwnItems(root, TRANSFORM)), fastload.DataLoader(ImageFolder(root, TRANSFORM, seen))]
    for loader in loaders:
        with pytest.warns(fastload.FastloadWarning) as caught:
            next(iter(loader))
        assert {one.filename for one in caught} == {__file__}


SCRIPT = """
import sys
import fastload
from torchvision.datasets import ImageFolder

class Mine(ImageFolder):
    def __getitem__(self, index):
        return super().__getitem__(index)

fastload.install()
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, RandomResizedCrop, ToTensor

if __name__ == "__main__":
    chain = Compose([RandomResizedCrop(8), ToTensor()])
    loaders = [DataLoader(Mine(sys.argv[1], chain), batch_size=2, num_workers=1), DataLoader(ImageFolder(sys.argv[1], chain))]
    for epoch in range(3):
        for loader in loaders:
            for batch in loader:
                pass
"""


def test_a_training_script_prints_one_line_a_loader(root, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    done = run_script(f"exec(compile({SCRIPT!r}, {str(script)!r}, 'exec'))", root)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "FastloadWarning" in line]
    assert len(lines) == 1, done.stderr
    place = SCRIPT.splitlines().index("            for batch in loader:") + 1
    assert lines[0].startswith(f"{script}:{place}: FastloadWarning: fastload: torch's loader makes the batches")
