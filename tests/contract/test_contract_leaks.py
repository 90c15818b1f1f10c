"""Hundreds of loaders made, used for a while and dropped: nothing is left of them, and nothing hangs."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import traceback
from pathlib import Path

import PIL.ImageOps
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from children import LIMIT
from images import picture, write_folder
from recipes import InPython
from waiting import until

CYCLES = cases(20, 200)
BREAKS = cases(150, 1000)
EVERY_FORK = 20  # cycles

NATIVE = [v1.RandomResizedCrop(16), v1.RandomHorizontalFlip(), v1.ToTensor()]
TRANSFORMS = {
    "native threads": NATIVE,
    "native samples in workers": [*NATIVE, InPython()],
    "stock": [v1.Lambda(PIL.ImageOps.mirror), *NATIVE],
}
EXPLAINED = {
    "native threads": "threads of this process",
    "native samples in workers": ", because ",
    "stock": "stock: ",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=9, largest=60)
    picture(0, 40, 40).save(root / "class0" / "001.png")  # Pillow decodes it, which wants Python's lock in the threads
    (root / "class1" / "damaged.jpg").write_bytes((root / "class1" / "001.jpg").read_bytes()[:400])
    return root


BATCHES = 10  # of 2 of the 20 images


def make(root, mode: str, **options):
    if mode == "torch's loader over our data set":
        data = fastload.ImageFolder(root, v1.Compose(NATIVE))
        return torch.utils.data.DataLoader(data, batch_size=2, **options)
    loader = fastload.DataLoader(ImageFolder(root, v1.Compose(TRANSFORMS[mode])), batch_size=2, **options)
    assert EXPLAINED[mode] in loader.explain()
    return loader


def take(iterator, most: int) -> int:
    """How many batches, or errors in their place, there were."""
    for taken in range(most):
        try:
            next(iterator)
        except StopIteration:
            return taken
        except OSError as error:  # the damaged image
            traceback.clear_frames(error.__traceback__)  # torch's, from a worker, hold themselves and the iterator
    return most


def use_in_a_fork(loader) -> None:
    """The child, too, gets all batches, and leaves without a word."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(LIMIT)
            status = 0 if take(iter(loader), BATCHES + 1) == BATCHES else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def live_and_die(root, mode: str, number: int) -> None:
    """One loader's life: how it is used and in what order its parts are dropped depends on the number."""
    chance = random.Random(number)
    forks = number % EVERY_FORK == EVERY_FORK - 1
    num_workers = chance.randrange(3)
    persistent = num_workers > 0 and not forks and chance.random() < 0.5  # a child cannot have its parent's workers
    loader = make(root, mode, num_workers=num_workers, persistent_workers=persistent, shuffle=True)
    iterators = [iter(loader) for _ in range(chance.choice([1, 1, 1, 2]))]
    for iterator in iterators:
        take(iterator, chance.randrange(BATCHES + 2))
    if forks:
        use_in_a_fork(loader)
    if chance.random() < 0.5:
        del loader
    del iterators, iterator


_forked: int | None = None  # a file to which each process that is forked here, or by those, adds its number


def _note_fork() -> None:
    if _forked is not None:
        os.write(_forked, b"%d\n" % os.getpid())


os.register_at_fork(after_in_child=_note_fork)


@pytest.fixture
def segments(tmp_path):
    """Gives the shared memory that this process and those that it started hold, or left behind: nobody else will remove it."""
    global _forked
    path = tmp_path / "forked"
    _forked = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    of_others = set(os.listdir("/dev/shm"))  # such as processes left that were killed, whose numbers may come again

    def owned() -> set[str]:
        owners = {str(os.getpid()), *path.read_text().split()}
        names = [name for name in os.listdir("/dev/shm") if name.startswith("torch_")]
        return {name for name in names if name.split("_")[1] in owners} - of_others

    yield owned
    os.close(_forked)
    _forked = None


def children_of(thread: str) -> int:
    """Of this process's; none where it has ended meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return len(Path("/proc/self/task", thread, "children").read_text().split())
    return 0


def belongings() -> dict[str, int]:
    gc.collect()
    threads = os.listdir("/proc/self/task")
    return {
        "threads": len(threads),
        "files": len(os.listdir("/proc/self/fd")),
        "children": sum(map(children_of, threads)),
    }


def until_no_more_than(before: dict[str, int]) -> None:
    """Threads and processes that were told to end do so when it is their turn."""
    until(lambda: all(belongings()[name] <= count for name, count in before.items()), f"no more than {before}")


@pytest.mark.timeout(method="thread")
@pytest.mark.parametrize(
    "mode",
    [
        "native threads",
        "native samples in workers",
        pytest.param("stock", marks=pytest.mark.slow),
        pytest.param("torch's loader over our data set", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_left_of_many_loaders(root, mode, segments):
    for number in range(EVERY_FORK):  # what Python and torch start once and keep
        live_and_die(root, mode, number)
    before, segments_before = belongings(), segments()
    for number in range(CYCLES):
        live_and_die(root, mode, number)
    until_no_more_than(before)
    until(lambda: segments() <= segments_before, "shared memory given back")


@pytest.mark.timeout(method="thread")
def test_no_early_break_hangs(root):
    """Loaders kept and loaders made anew, with samples under way that Pillow decodes, or that fail, or that wait for their turn."""
    chance = random.Random(0)
    before = belongings()
    loader, breaks = None, 0
    while breaks < BREAKS:
        if loader is None or chance.random() < 0.3:
            num_workers = chance.randint(0, 4)
            loader = make(
                root,
                "native threads",
                num_workers=num_workers,
                threads=chance.randint(1, 4),
                prefetch_factor=chance.randint(1, 4) if num_workers else None,
                persistent_workers=num_workers > 0 and chance.random() < 0.5,
                shuffle=True,
            )
        position = chance.randrange(BATCHES)
        assert take(iter(loader), position) == position
        breaks += 1
    assert take(iter(loader), BATCHES + 1) == BATCHES
    del loader
    until_no_more_than(before)
