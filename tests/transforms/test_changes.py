"""Transforms that the program changes in place: stock's batches, at whatever time and by whatever means they are changed."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.utils.data import ConcatDataset, Subset, default_collate
from torch.utils.data._utils.collate import default_collate_fn_map
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=6, largest=90)


def files_of(folder):
    return fastload.ImageFiles([path for path, _ in folder.samples], folder.targets, folder.transform)


# Whose loader, over what.
ARMS = {
    "our loader, torchvision's folder": (fastload.DataLoader, lambda folder: folder),
    "our loader, our files": (fastload.DataLoader, files_of),
    "torch's loader, our files": (torch.utils.data.DataLoader, files_of),
    "our loader, a subset": (fastload.DataLoader, lambda folder: Subset(folder, range(12))),
    "our loader, a concatenation": (
        fastload.DataLoader,
        lambda folder: ConcatDataset([Subset(folder, range(5)), Subset(folder, range(5, 12))]),
    ),
    "torch's loader, a subset of our files": (
        torch.utils.data.DataLoader,
        lambda folder: Subset(files_of(folder), range(12)),
    ),
}


def in_python(image):
    return image.mul(2.0) if isinstance(image, torch.Tensor) else image


def chain(version, *, python=False, mean=None, nested=False, sequential=False):
    """Crop, flip, tensor, normalise; ``python``: with a Python function behind."""
    steps = [
        version.RandomResizedCrop(24),
        version.RandomHorizontalFlip(),
        version.ToTensor(),
        version.Normalize([0.4, 0.5, 0.6] if mean is None else mean, [0.2, 0.3, 0.4]),
    ]
    if python:
        steps.append(v1.Lambda(in_python))
    if nested:
        steps = [version.Compose(steps[:2]), version.Compose(steps[2:])]
    return torch.nn.Sequential(*steps) if sequential else version.Compose(steps)


def set_size(t, number):
    t.transforms[0].size = (16 + 8 * number, 20)


def set_size_in_the_list(t, number):
    if isinstance(t.transforms[0].size, list):
        t.transforms[0].size[0] = 16 + 8 * number
    else:
        t.transforms[0].size = [16 + 8 * number, 20]


def set_scale(t, number):
    t.transforms[0].scale = (0.5, 0.5 + 0.1 * number)


def set_p(t, number):
    t.transforms[1].p = float(number % 2)


def set_mean(t, number):
    mean = t.transforms[3].mean
    if isinstance(mean, (list, torch.Tensor, np.ndarray)):
        mean[0] = 0.1 * number
    else:
        t.transforms[3].mean = [0.1 * number] * 3


def insert(t, number):
    t.transforms.insert(0, v1.CenterCrop(20 + number))


def append(t, number):
    t.transforms.append(v1.RandomVerticalFlip(0.5))


def pop(t, number):
    if len(t.transforms) > 3:
        t.transforms.pop(1)


def replace_item(t, number):
    t.transforms[0] = v1.Resize((20 + number, 24))


def replace_list(t, number):
    t.transforms = [v1.Resize((20 + number, 24)), v1.ToTensor()]


def insert_python(t, number):
    t.transforms.insert(1, lambda image: image.rotate(90))


def become_another_class(t, number):
    t.transforms[1].__class__ = v1.RandomVerticalFlip


def add_hook(t, number):
    if isinstance(t.transforms[1], torch.nn.Module):
        t.transforms[1].register_forward_hook(lambda module, args, output: output.rotate(90))


def replace_method(t, number):
    t.transforms[0].get_params = lambda *args: (0, 0, 10, 10)
    t.transforms[0].make_params = lambda inputs: {"top": 0, "left": 0, "height": 10, "width": 10}
    t.transforms[0]._get_params = t.transforms[0].make_params


CHANGES = [
    set_size,
    set_size_in_the_list,
    set_scale,
    set_p,
    set_mean,
    insert,
    append,
    pop,
    replace_item,
    replace_list,
    insert_python,
    become_another_class,
    add_hook,
    replace_method,
]


def run(Loader, dataset, transform, change, *, when, **options):
    """Batches of three epochs, with changes between the epochs, in the middle of them, or by a collate_fn."""
    calls = iter(range(1, 100))

    def collate(items):
        batch = default_collate(items)
        if when == "collate":
            change(transform, next(calls) % 5)
        return batch

    if when == "collate":
        options["collate_fn"] = collate
    torch.manual_seed(7)
    loader = Loader(dataset, batch_size=3, shuffle=True, **options)
    batches = []
    for epoch in range(3):
        for number, batch in enumerate(loader):
            batches.append(batch)
            if when == "middle" and number % 2 == 0:
                change(transform, epoch + number)
        if when == "between":
            change(transform, epoch + 1)
    return [*batches, torch.get_rng_state()]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        if isinstance(mine, torch.Tensor):
            assert torch.equal(mine, other)
        else:
            assert mine[0].shape == other[0].shape and torch.equal(mine[0], other[0]) and torch.equal(mine[1], other[1])


def compare(root, make_transform, change, arm, **options):
    theirs = make_transform()
    expected = run(torch.utils.data.DataLoader, ImageFolder(root, theirs), theirs, change, **options)
    Loader, made = ARMS[arm]
    ours = make_transform()
    assert_same(run(Loader, made(ImageFolder(root, ours)), ours, change, **options), expected)


@pytest.mark.parametrize("when", ["between", "middle", "collate"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_in_place_is_seen_at_once_without_workers(root, change, when):
    number = CHANGES.index(change)
    version, python = (v1, v2)[number % 2], number % 3 == 0
    arms = list(ARMS)
    for arm in (arms[number % len(arms)], arms[(number + 3) % len(arms)]):
        compare(root, lambda: chain(version, python=python), change, arm, when=when)


@pytest.mark.parametrize("version", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("python", [False, True], ids=["native", "python"])
@pytest.mark.parametrize("mean", [list, torch.tensor, np.array, tuple], ids=lambda kind: kind.__name__)
def test_a_mean_of_any_kind(root, version, python, mean):
    for when in ("between", "middle"):
        for arm in ("our loader, torchvision's folder", "torch's loader, our files"):
            compare(root, lambda: chain(version, python=python, mean=mean([0.4, 0.5, 0.6])), set_mean, arm, when=when)


def test_memory_that_a_mean_shares_with_others(root):
    """The array that a tensor was made from is changed; the tensor is told nothing."""
    shared = []

    def make():
        shared.append(np.array([0.4, 0.5, 0.6], np.float32))
        return chain(v1, mean=torch.from_numpy(shared[-1]))

    def change(transform, number):
        shared[-1][1] = number * 0.1

    compare(root, make, change, "our loader, torchvision's folder", when="middle")


@pytest.mark.parametrize("arm", ["our loader, torchvision's folder", "torch's loader, our files"])
@pytest.mark.parametrize("when", ["between", "middle", "collate"])
def test_nested_and_sequential(root, arm, when):
    def inner(transform, number):
        transform.transforms[0].transforms[0].size = (16 + 8 * number, 20)
        transform.transforms[1].transforms[1].mean = [0.1 * number] * 3
        if number == 3:
            transform.transforms[0].transforms.append(v1.RandomVerticalFlip())

    def step(transform, number):
        transform[0].size = (16 + 8 * number, 20)
        if number == 2:
            transform[1] = v1.RandomVerticalFlip()
        if number == 3:
            transform.append(v1.RandomHorizontalFlip())

    compare(root, lambda: chain(v1, nested=True), inner, arm, when=when)
    compare(root, lambda: chain(v2, nested=True), inner, arm, when=when)
    compare(root, lambda: chain(v2, sequential=True), step, arm, when=when)


@pytest.mark.parametrize("python", [False, True], ids=["native", "python"])
@pytest.mark.parametrize("arm", ["our loader, torchvision's folder", "torch's loader, our files"])
@pytest.mark.parametrize("when", ["between", "middle"])
@pytest.mark.parametrize("persistent", [False, True], ids=["", "persistent"])
def test_with_workers_from_the_next_iterator(root, python, arm, when, persistent):
    """Of persistent workers never: they have copies."""

    def change(transform, number):
        transform.transforms[0].size = (16 + 8 * number, 20)
        transform.transforms[3].mean[0] = 0.1 * number

    compare(
        root,
        lambda: chain(v2, python=python),
        change,
        arm,
        when=when,
        num_workers=2,
        persistent_workers=persistent,
        multiprocessing_context="fork",
    )


def test_a_collate_fn_in_workers_changes_its_own_copy(root):
    for arm in ("our loader, torchvision's folder", "torch's loader, our files"):
        compare(root, lambda: chain(v1), set_size, arm, when="collate", num_workers=2, multiprocessing_context="fork")


def test_a_transform_that_changes_those_before_it(root):
    """From sample to sample, within one batch."""

    def make():
        transform = chain(v1)

        def tail(image):
            transform.transforms[1].p = 1.0 - transform.transforms[1].p
            transform.transforms[3].mean[1] += 0.01
            return image

        transform.transforms[1].p = 0.0
        transform.transforms.append(tail)
        return transform

    for arm in ARMS:
        compare(root, make, lambda transform, number: None, arm, when="between")


def test_a_data_set_that_changes(root):
    """Its transform, its target_transform and its loader, in the middle of an epoch."""

    def change(folder, number):
        if number == 1:
            folder.transform = v1.Compose([v1.Resize((20, 20)), v1.ToTensor()])
        elif number == 2:
            folder.target_transform = lambda target: target + 10
        elif number == 3:
            folder.loader = lambda path: folder_loader(path).transpose(0)
        elif number == 4:
            folder.loader = folder_loader
            folder.target_transform = None

    folder_loader = ImageFolder(root).loader
    for Loader, kind, subset in [
        (fastload.DataLoader, ImageFolder, False),
        (fastload.DataLoader, ImageFolder, True),
        (torch.utils.data.DataLoader, fastload.ImageFolder, False),
    ]:
        theirs, ours = ImageFolder(root, chain(v1)), kind(root, chain(v1))
        expected = run(torch.utils.data.DataLoader, theirs, theirs, change, when="middle")
        assert_same(run(Loader, Subset(ours, range(12)) if subset else ours, ours, change, when="middle"), expected)


def test_data_sets_within_data_sets_are_exchanged(root):
    other = ImageFolder(root, v1.Compose([v1.Resize((24, 24)), v1.ToTensor()]))

    def exchange_subset(dataset, number):
        dataset.dataset = other

    def exchange_part(dataset, number):
        dataset.datasets[0] = Subset(other, range(4))

    for make, change in [
        (lambda: Subset(ImageFolder(root, chain(v1)), range(12)), exchange_subset),
        (lambda: ConcatDataset([Subset(ImageFolder(root, chain(v1)), range(4))] * 2), exchange_part),
    ]:
        theirs, ours = make(), make()
        expected = run(torch.utils.data.DataLoader, theirs, theirs, change, when="middle")
        assert_same(run(fastload.DataLoader, ours, ours, change, when="middle"), expected)


def test_a_loader_goes_on_natively_with_the_new_values(root):
    transform = chain(v1)
    loader = fastload.DataLoader(ImageFolder(root, transform), batch_size=4)
    for size in (16, 24, 32):
        transform.transforms[0].size = (size, size)
        assert all(images.shape[-1] == size for images, _ in loader)
        assert loader.stats()["mode"] == "native" and loader.stats()["batches"] == 3


def set_brightness(dataset):
    dataset.transform.transforms[1].brightness = [3.0, 4.0]


def set_probability(dataset):
    dataset.transform.transforms[2].p = 1.0


def set_erased_value(dataset):
    dataset.transform.transforms[5].value[0] = 9.0


def set_policy(dataset):
    dataset.transform.transforms[3].magnitude = 1


def other_transform(dataset):
    dataset.transform = v1.Compose([v1.Resize((20, 20)), v1.RandomInvert(1.0), v1.ToTensor()])


def other_samples(dataset):
    dataset.samples[:] = [dataset.samples[0]] * len(dataset.samples)


def other_target_transform(dataset):
    dataset.target_transform = lambda target: target + 50


def other_collation_of_numbers(dataset):
    default_collate_fn_map[int] = lambda batch, *, collate_fn_map=None: torch.tensor(batch) * 10


def smaller_limit_of_pixels(dataset):
    PIL.Image.MAX_IMAGE_PIXELS = 1


OF_WORKERS = [
    set_brightness,
    set_probability,
    set_erased_value,
    set_policy,
    other_transform,
    other_samples,
    other_target_transform,
    other_collation_of_numbers,
    smaller_limit_of_pixels,
]


@pytest.mark.parametrize("change", OF_WORKERS, ids=lambda change: change.__name__)
def test_of_what_workers_have_copies(root, change, monkeypatch):
    """Of all that a sample is made with, from the beginning of the epoch on."""

    def run(Loader):
        steps = [
            *(v1.Resize((20, 20)), v1.ColorJitter(0.5), v1.RandomHorizontalFlip(0.0), v1.RandAugment()),
            *(v1.ToTensor(), v1.RandomErasing(1.0, value=[1.0, 0.5, 0.2])),
        ]
        dataset = ImageFolder(root, v1.Compose(steps))
        kinds = dict(default_collate_fn_map)
        torch.manual_seed(3)
        loader, taken = Loader(dataset, 2, shuffle=True, num_workers=2, multiprocessing_context="fork"), []
        with monkeypatch.context() as patched:
            patched.setattr(PIL.Image, "MAX_IMAGE_PIXELS", PIL.Image.MAX_IMAGE_PIXELS)
            try:
                for number, batch in enumerate(loader):
                    taken.append(batch)
                    if number == 0:
                        change(dataset)
            finally:
                default_collate_fn_map.clear()
                default_collate_fn_map.update(kinds)
        return taken

    ours, stock = run(fastload.DataLoader), run(torch.utils.data.DataLoader)
    assert len(stock) == 6
    assert_same(ours, stock)


def test_a_sampler_is_the_loaders_own(root):
    """Workers have no copy of it: what is still to be drawn changes at once."""

    class Order(torch.utils.data.Sampler):
        def __init__(self):
            self.step = 1

        def __len__(self):
            return 12

        def __iter__(self):
            for number in range(12):
                yield number * self.step % 12

    def run(Loader, num_workers):
        order = Order()
        dataset = ImageFolder(root, v1.Compose([v1.Resize((9, 9)), v1.ToTensor()]))
        loader, taken = Loader(dataset, 1, sampler=order, num_workers=num_workers), []
        for number, batch in enumerate(loader):
            taken.append(batch)
            if number == 2:
                order.step = 5
        return taken

    for num_workers in (0, 2):
        ours = run(fastload.DataLoader, num_workers)
        assert_same(ours, run(torch.utils.data.DataLoader, num_workers))
        assert len({tuple(images.flatten().tolist()) for images, _ in ours}) > 1
