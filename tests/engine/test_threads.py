"""Every object of ours is safe from any thread: the same values as from one, and no crash."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from children import LIMIT, run
from fastload import _core
from fastload.engine.random_generators import generator_of_thread_worker
from fastload.transforms.split_transforms import read
from images import jpeg_bytes, picture, write_folder

THREADS = 6
ROUNDS = 24
FIXED = v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor()])
RANDOM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])


def twice(image):
    return 2 * image


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=6)
    picture(0, 60, 60).save(root / "class0" / "zz.png")  # one that Pillow decodes
    return root


def in_threads(do) -> list:
    """``[do(0), do(1), …]``, each on some thread of a pool; they begin together."""
    together = threading.Barrier(THREADS)

    def first_wait(number):
        if number < THREADS:
            together.wait()
        return do(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(first_wait, range(ROUNDS)))


def files(root):
    return fastload.ImageFiles([path for path, _ in ImageFolder(str(root)).samples], range(19))


def folder(root):
    return fastload.ImageFolder(str(root))


TRANSFORMS = {
    "fixed": FIXED,
    "a Python tail": v1.Compose([*FIXED.transforms, twice]),
    "no fixed size": v1.Compose([v1.Resize(40), v1.ToTensor()]),
    "an image": v1.Compose([v1.Resize(40), v1.CenterCrop(32)]),
}


@pytest.mark.parametrize("make", [folder, files])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_items_of_one_data_set(root, make, transform):
    dataset, plain = make(root), ImageFolder(str(root))
    dataset.transform = plain.transform = TRANSFORMS[transform]
    expected = [np.asarray(plain[index][0]) for index in range(len(plain))]

    def check(number):
        indices = [(number + at) % len(plain) for at in range(len(plain))]
        items = dataset.__getitems__(indices) if number % 4 else [dataset[index] for index in indices]
        return all(np.array_equal(np.asarray(item[0]), expected[at]) for item, at in zip(items, indices, strict=True))

    assert all(in_threads(check))


@pytest.mark.parametrize("make", [folder, files])
@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_of_one_data_set(root, make, workers):
    dataset, plain = make(root), ImageFolder(str(root), FIXED)
    dataset.transform = FIXED
    expected = [images for images, _ in torch.utils.data.DataLoader(plain, batch_size=5)]

    def check(number):
        loader = fastload.DataLoader(dataset, batch_size=5, num_workers=workers)
        return all(torch.equal(a, b) for (a, _), b in zip(loader, expected, strict=True))

    assert all(in_threads(check))


def test_iterators_of_one_loader(root):
    plain = ImageFolder(str(root), FIXED)
    loader = fastload.DataLoader(plain, batch_size=5, num_workers=2)
    expected = [images for images, _ in torch.utils.data.DataLoader(plain, batch_size=5)]

    def check(number):
        same = all(torch.equal(a, b) for (a, _), b in zip(loader, expected, strict=True))
        loader.stats(), loader.explain(), loader.errors
        return same

    assert all(in_threads(check))


@pytest.mark.parametrize("options", [{"num_workers": 2}, {"num_workers": 0}, {"num_workers": 2, "device": "cpu"}])
def test_one_iterator(root, options):
    """Each batch goes to one of the threads, whole."""
    plain = torch.utils.data.Subset(ImageFolder(str(root), FIXED), list(range(19)) * 6)
    iterator = iter(fastload.DataLoader(plain, batch_size=3, **options))
    expected = [images for images, _ in torch.utils.data.DataLoader(plain, batch_size=3)]
    got = in_threads(lambda number: [images for images, _ in iterator])
    ours = [images for part in got for images in part]
    assert len(ours) == len(expected)
    left = list(expected)
    for images in ours:
        at = next(at for at, other in enumerate(left) if torch.equal(images, other))
        del left[at]


def test_a_stateful_loader_is_asked_meanwhile(root):
    loader = fastload.StatefulDataLoader(ImageFolder(str(root), RANDOM), batch_size=2, num_workers=2)
    over = threading.Event()

    def ask():
        while not over.is_set():
            loader.state_dict()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(4):
            assert len(list(loader)) == 10
    finally:
        over.set()
        asking.join()


@pytest.mark.parametrize("transform", [RANDOM, v1.Compose([*RANDOM.transforms, twice])], ids=["list", "one by one"])
def test_the_default_generator_goes_to_one_at_a_time(root, transform):
    """Whatever the order, no two samples are drawn with the same numbers, and as many are used as one thread uses."""
    dataset = fastload.ImageFiles([str(root / "class0" / "000.jpg")] * 4, transform=transform)
    torch.manual_seed(5)
    expected = [image for _ in range(ROUNDS) for image in dataset.__getitems__(range(4))]
    after = torch.get_rng_state()
    torch.manual_seed(5)
    got = in_threads(lambda number: dataset.__getitems__(range(4)))
    images = [image for part in got for image in part]
    assert torch.equal(torch.get_rng_state(), after)
    left = list(expected)
    for image in images:
        at = next(at for at, other in enumerate(left) if torch.equal(image, other))
        del left[at]


class Rng:
    def __init__(self, seed):
        self.torch_generator = torch.Generator().manual_seed(seed)


class ThreadWorker:
    """What ``get_worker_info()`` is to give in a thread worker of torch's."""

    worker_method = "thread"

    def __init__(self, number):
        self.id, self.num_workers, self.seed = number, 2, 100 + number
        self.rng = Rng(100 + number)


def test_thread_workers_draw_from_their_own_generators(root, monkeypatch):
    """What each gives depends on its generator alone; the default one is left alone."""
    here = threading.local()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: getattr(here, "info", None))
    for transform in (RANDOM, v1.Compose([*RANDOM.transforms, twice])):
        dataset = fastload.ImageFolder(str(root), transform)
        plain = ImageFolder(str(root), transform)
        before = torch.get_rng_state()

        def work(number, dataset=dataset):
            here.info = ThreadWorker(number)
            assert generator_of_thread_worker() is here.info.rng.torch_generator
            return [dataset.__getitems__(range(at, at + 4)) for at in (7, 11, 15)]

        with ThreadPoolExecutor(2) as pool:
            got = list(pool.map(work, range(2)))
        assert torch.equal(torch.get_rng_state(), before)
        for number, lists in enumerate(got):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(100 + number)
                expected = [plain[index] for index in range(7, 19)]
            ours = [item for items in lists for item in items]
            assert all(torch.equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(ours, expected, strict=True))


# The core's own classes


def submit(engine, data, generator=1, **options):
    reading = read(RANDOM)
    target = reading.pixelwise.target("chw")
    out = np.empty((len(data), 3, 32, 32), np.float32)
    given = {"order": _core.DrawOrder(_core.Mt19937(generator)), "load": None, "out": out, **options}
    batch = engine.submit(
        data, list(range(len(data))), recipe=reading.recipe, target=target, size=(32, 32), seed=0, epoch=0,
        stop_at_failure=False, max_pixels=0, **given,
    )  # fmt: skip
    return batch, out


def test_an_engine_and_an_order():
    """Batches that many threads submit on one order all come: their turns are in the order of the queue."""
    engine, order = _core.Engine(2), _core.DrawOrder(_core.Streams(_core.Mt19937(1)))
    data = [jpeg_bytes(seed) for seed in range(4)]

    def use(number):
        batch, _ = submit(engine, data, order=order)
        order.generators()
        assert batch.wait(LIMIT)
        return batch.failures

    assert in_threads(use) == [[]] * ROUNDS


def test_a_batch():
    engine = _core.Engine(2)
    batch, _ = submit(engine, [jpeg_bytes(seed) for seed in range(60)])

    def use(number):
        try:
            for name in ("failures", "kept", "fallbacks", "stage_seconds", "generators_after", "deferred_taps"):
                getattr(batch, name)
        except ValueError:  # it is not done
            assert batch.remaining or batch.done
        return batch.wait(LIMIT) and batch.failures

    assert in_threads(use) == [[]] * ROUNDS


def test_what_a_batch_has_left_is_given_once():
    engine = _core.Engine(2)
    memory = _core.BatchMemory(lambda block, nbytes, *gone: blocks.setdefault(block, np.empty(nbytes, np.uint8)))
    blocks: dict[int, np.ndarray] = {}
    data = [jpeg_bytes(seed, form=0) for seed in range(8)]
    for _ in range(20):
        batch, _ = submit(engine, data, out=memory, leave=_core.Leave.windows)
        assert batch.wait(LIMIT)
        got = in_threads(lambda number, b=batch: b.windows()[0])
        assert sum(bool(slabs) for slabs in got) == 1
        assert sum(batch.take_block() >= 0 for _ in range(2)) <= 1


def test_a_reader_and_its_samples():
    reading = read(RANDOM)
    target = reading.pixelwise.target("chw")
    reader = _core.Reader()
    data = [jpeg_bytes(seed) for seed in range(6)]

    def make(seed):
        sample = reader.open(data[seed % 6], 0)
        assert sample.draw_indexed(reading.recipe, 0, 0, seed)
        return sample.read(target)

    expected = [make(seed) for seed in range(ROUNDS)]
    for got, one in zip(in_threads(make), expected, strict=True):
        assert np.array_equal(got, one)
    shared = [reader.open(data[0], 0) for _ in range(THREADS)]

    def share(number):
        sample = shared[number // THREADS]
        try:
            sample.draw_indexed(reading.recipe, 0, 0, 1)
            return sample.read(target) is not None
        except ValueError:
            return False

    assert 1 <= sum(in_threads(share)) <= ROUNDS // THREADS


def test_bytes_in_use_do_not_move():
    data = bytearray(jpeg_bytes(0))
    sample = _core.Reader().open(data, 0)
    with pytest.raises(BufferError):
        data.extend(b"more")
    del sample
    data.extend(b"more")


def test_an_engine_is_stopped_while_it_is_used():
    data = [jpeg_bytes(seed) for seed in range(6)]
    for _ in range(10):
        engine = _core.Engine(2)

        def use(number, engine=engine):
            if number == THREADS:
                engine.stop()
            try:
                batch, _ = submit(engine, data)
            except ValueError:
                return True
            return batch.wait(LIMIT)

        assert all(in_threads(use))


def test_threads_that_cannot_all_be_started_leave_none():
    code = """
import os, resource, threading
from fastload import _core
from waiting import until
def tasks(): return len(os.listdir("/proc/self/task"))
before = tasks()
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # a thread's stack takes 8 MB of it
for _ in range(3):
    try:
        _core.Engine(4000)
    except RuntimeError as error:
        assert "of 4000 threads could be started" in str(error)
    else:
        raise SystemExit("there was room")
until(lambda: tasks() == before)  # a thread that was waited for is listed a moment longer
engine = _core.Engine(2)
"""
    ended = run(sys.executable, "-c", code)
    assert (ended.returncode, ended.stderr) == (0, "")
