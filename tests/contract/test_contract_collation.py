"""The DataLoader contract: collation and pinning. Each on torch's loader and on fastload's."""

from __future__ import annotations

from collections import OrderedDict, deque, namedtuple
from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms.v2 as v2
from torch.utils.data._utils.collate import default_collate_fn_map
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, RandomResizedCrop, Resize, ToTensor

import fastload
from contract import (
    SIZE,
    Numbers,
    build,
    build_with_code,
    data_set,
    has_accelerator,
    in_batches,
    indices,
    warns_as_today,
)

FIVES = in_batches(range(SIZE), 5)


Point = namedtuple("Point", "x y")


class Fixed(Mapping):
    """Cannot be made from a dict."""

    def __init__(self, *, x):
        self.x = x

    def __getitem__(self, key):
        return {"x": self.x}[key]

    def __iter__(self):
        return iter(["x"])

    def __len__(self):
        return 1


class Row(Sequence):
    """Can be made from a list, and not changed."""

    def __init__(self, items):
        self.items = items

    def __getitem__(self, number):
        return self.items[number]

    def __len__(self):
        return len(self.items)


floats, ints = torch.tensor([1.5, 2.5], dtype=torch.float64), torch.tensor([1, 2])

COLLATED = {
    "tensor": ([torch.ones(2), torch.zeros(2)], torch.tensor([[1.0, 1.0], [0.0, 0.0]])),
    "tensor subclass": ([tv_tensors.Image(torch.ones(1, 1, 1))] * 2, torch.ones(2, 1, 1, 1)),
    "array": ([np.array([1, 2], dtype=np.int16)] * 2, torch.tensor([[1, 2], [1, 2]], dtype=torch.int16)),
    "numpy scalar": ([np.float32(1.5), np.float32(2.5)], torch.tensor([1.5, 2.5])),
    "numpy bool": ([np.bool_(True), np.bool_(False)], torch.tensor([True, False])),
    "float": ([1.5, 2.5], floats),
    "int": ([1, 2], ints),
    "bool": ([True, False], torch.tensor([True, False])),
    "text": (["a", "b"], ["a", "b"]),
    "bytes": ([b"a", b"b"], [b"a", b"b"]),
    "mapping": ([OrderedDict(x=1, y="a"), OrderedDict(x=2, y="b")], OrderedDict(x=ints, y=["a", "b"])),
    "mapping that cannot be made": ([Fixed(x=1), Fixed(x=2)], {"x": ints}),
    "named tuple": ([Point(1, 1.5), Point(2, 2.5)], Point(ints, floats)),
    "tuple": ([(1, 1.5), (2, 2.5)], [ints, floats]),
    "tuple with text": ([(1, "a"), (2, "b")], [ints, ("a", "b")]),
    "list": ([[1, 1.5], [2, 2.5]], [ints, floats]),
    "sequence that cannot be made": ([range(1, 3), range(2, 4)], [torch.tensor([1, 2]), torch.tensor([2, 3])]),
    "mutable sequence": ([deque([1, 1.5]), deque([2, 2.5])], deque([ints, floats])),
    "fixed sequence": ([Row([1, 1.5]), Row([2, 2.5])], Row([ints, floats])),
    "nested": ([{"x": (1, [1.5])}, {"x": (2, [2.5])}], {"x": [ints, [floats]]}),
}  # fmt: skip


def alike(ours, expected) -> bool:
    """Equal, and of the very same types."""
    if type(ours) is not type(expected):
        return False
    if isinstance(expected, torch.Tensor):
        return ours.dtype == expected.dtype and torch.equal(ours, expected) and ours.is_contiguous()
    if isinstance(expected, dict):
        return list(ours) == list(expected) and all(alike(ours[key], expected[key]) for key in expected)
    if isinstance(expected, Sequence) and not isinstance(expected, str | bytes):
        return len(ours) == len(expected) and all(map(alike, ours, expected))
    return ours == expected


# NumPy's own about what torch 2.4 does with its bools.
@pytest.mark.filterwarnings("ignore:In future, it will be an error for 'np.bool_'")
@pytest.mark.parametrize("name", COLLATED)
def test_collated(Loader, name):
    samples, expected = COLLATED[name]
    (batch,) = Loader(samples, batch_size=2)
    assert alike(batch, expected)


@pytest.mark.filterwarnings("ignore:In future, it will be an error for 'np.bool_'")
@pytest.mark.parametrize("name", COLLATED)
def test_collated_targets_of_images(Loader, folder, name):
    """Whatever the targets are, they are collated as the second column of the samples."""
    targets, expected = COLLATED[name]
    dataset = data_set("images", folder)
    dataset.samples = [(dataset.samples[number][0], target) for number, target in enumerate(targets)]
    torch.manual_seed(1)
    (batch,) = build(Loader, dataset, batch_size=2)
    torch.manual_seed(1)
    torch.empty((), dtype=torch.int64).random_()
    image = torch.stack([dataset[number][0] for number in range(2)])
    if type(expected) is list and expected and type(expected[0]) in (str, bytes):
        expected = tuple(expected)
    assert type(batch) is list and torch.equal(batch[0], image) and alike(batch[1], expected)


class Own:
    pass


FOUND = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
NOT_COLLATED = {
    "nothing": ([None, None], TypeError, f"{FOUND}<class 'NoneType'>"),
    "image": ([PIL.Image.new("RGB", (2, 2))] * 2, TypeError, f"{FOUND}<class 'PIL.Image.Image'>"),
    "array of text": ([np.array(["a"])] * 2, TypeError, f"{FOUND}<U1"),
    "array of objects": ([np.array([None])] * 2, TypeError, f"{FOUND}object"),
    "unequal lengths": ([[1, 2], [1]], RuntimeError, "each element in list of batch should be of equal size"),
    "unequal shapes": (
        [torch.ones(2), torch.ones(3)],
        RuntimeError,
        "stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1",
    ),
    "sparse": (
        [torch.ones(2).to_sparse()] * 2,
        RuntimeError,
        "Batches of sparse tensors are not currently supported by the default collate_fn",
    ),
}


@pytest.mark.parametrize("name", NOT_COLLATED)
def test_not_collated(Loader, folder, name):
    """As samples, and as targets of images."""
    samples, kind, text = NOT_COLLATED[name]
    dataset = data_set("images", folder)
    dataset.samples = [(dataset.samples[number][0], target) for number, target in enumerate(samples)]
    for loader in (Loader(samples, batch_size=2), build(Loader, dataset, batch_size=2)):
        with pytest.raises(kind) as caught:
            list(loader)
        assert type(caught.value) is kind and str(caught.value).startswith(text)


def test_images_that_are_not_collated(Loader, folder):
    for transform, kind, text in [
        (RandomResizedCrop(8), TypeError, f"{FOUND}<class 'PIL.Image.Image'>"),
        (
            Compose([Resize(8), ToTensor()]),
            RuntimeError,
            r"stack expects each tensor to be equal size, but got \[3, .* at entry",
        ),
    ]:
        with pytest.raises(kind, match=text):
            list(build_with_code(Loader, ImageFolder(str(folder), transform), batch_size=SIZE))


def test_empty_batches(Loader, dataset):
    with pytest.raises(IndexError, match="list index out of range"):
        list(build(Loader, dataset, batch_sampler=[[]]))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_of_images_are_plain_and_contiguous(Loader, folder, num_workers):
    """tv_tensors lose their type, and samples that lie row by row of RGB are laid out as planes."""
    for last, kind in [(v2.PILToTensor(), torch.Tensor), (v2.ToImage(), tv_tensors.Image)]:
        dataset = ImageFolder(str(folder), v2.Compose([v2.Resize((8, 9)), last]))
        sample, _ = dataset[0]
        assert type(sample) is kind and not sample.is_contiguous()
        images, targets = next(iter(build(Loader, dataset, batch_size=5, num_workers=num_workers)))
        assert type(images) is torch.Tensor and images.dtype is torch.uint8 and images.stride() == (216, 72, 9, 1)
        assert targets.dtype is torch.int64
        assert torch.equal(images, torch.stack([dataset[number][0] for number in range(5)]))


def test_images_without_targets(Loader, dataset, folder):
    paths = sorted(folder.glob("*/*.jpg"))
    files = fastload.ImageFiles(paths, transform=Compose([Resize((8, 9)), ToTensor()]))
    loader = Loader(files, batch_size=7)
    batches = list(loader)
    assert all(type(batch) is torch.Tensor for batch in batches)
    assert torch.equal(torch.cat(batches), torch.stack([files[number] for number in range(SIZE)]))


def test_tensors_from_worker_processes_are_shared(Loader):
    """Only those: batches from threads are ordinary memory."""
    values, targets = next(iter(Loader(Numbers(), batch_size=5, num_workers=1)))
    assert values.is_shared() and targets.is_shared()


def test_users_may_extend_default_collate(Loader, dataset, monkeypatch):
    monkeypatch.setitem(default_collate_fn_map, Own, lambda batch, *, collate_fn_map=None: len(batch))
    assert list(Loader([Own()] * 3, batch_size=2)) == [2, 1]
    monkeypatch.setitem(default_collate_fn_map, int, lambda batch, *, collate_fn_map=None: sorted(batch, reverse=True))
    assert [targets for _, targets in build(Loader, dataset, batch_size=7)] == [
        [6, 5, 4, 3, 2, 1, 0],
        [11, 10, 9, 8, 7],
    ]
    monkeypatch.setitem(default_collate_fn_map, torch.Tensor, lambda batch, *, collate_fn_map=None: len(batch))
    assert [images for images, _ in build_with_code(Loader, dataset, batch_size=7)] == [7, 5]


# Pinning


def about_pinning(warned: pytest.WarningsRecorder) -> list[str]:
    """Newer Pythons warn of forks, too."""
    return [str(warning.message) for warning in warned if "pin" in str(warning.message)]


@warns_as_today
@pytest.mark.skipif(has_accelerator(), reason="there is an accelerator")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_pinning_without_an_accelerator(Loader, dataset, num_workers):
    """Every iterator warns, and gives ordinary memory."""
    text = "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used."
    loader = build(Loader, dataset, batch_size=6, num_workers=num_workers, pin_memory=True)
    for _ in range(2):
        with pytest.warns(UserWarning, match="pin") as warned:
            batches = list(loader)
        assert about_pinning(warned) == [text]
        assert indices(batches) == in_batches(range(SIZE), 6)
        assert not any(part.is_pinned() for batch in batches for part in batch)
    loader.pin_memory_device = "cuda"
    with pytest.warns(UserWarning, match="pin") as warned:
        iterator = iter(loader)
    deprecated = (
        "pin_memory_device is deprecated, the current accelerator will be used as the device,"
        "ignore pin_memory_device='cuda'."
    )
    assert about_pinning(warned) == [deprecated, text]
    assert indices(iterator) == in_batches(range(SIZE), 6)
    loader.pin_memory = False
    list(loader)  # where nothing is to be pinned, nobody warns
