"""Transforms that draw from Python's random too: equal batches, and all generators as torch's loader leaves them."""

from __future__ import annotations

import functools
import json
import random

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data.distributed import DistributedSampler
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from fastload.batches.worker_streams import WorkerSeeds
from fastload.engine import GeneratorStates
from fastload.transforms import read
from images import write_folder

SIDE = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"))


def part(rng: random.Random, module, depth: int = 0):
    kinds = {
        "crop": lambda: module.RandomResizedCrop(rng.randint(1, 30)),
        "flip": lambda: module.RandomHorizontalFlip(rng.random()),
        "jitter": lambda: module.ColorJitter(0.3, 0.3),
        "pad": lambda: module.Pad(rng.randint(0, 3)),
    }
    if depth < 2:
        inner = [part(rng, module, depth + 1) for _ in range(rng.randint(1, 4))]
        weights = [rng.choice([0, 1, 3, 0.25, rng.random()]) for _ in inner]
        kinds["apply"] = lambda: module.RandomApply(inner, rng.random())
        kinds["order"] = kinds["order again"] = lambda: rng.choice([v1, v2]).RandomOrder(inner)
        kinds["choice"] = kinds["choice again"] = lambda: rng.choice([v1, v2]).RandomChoice(
            inner, rng.choice([None, weights if sum(weights) else None])
        )
    return kinds[rng.choice([*kinds])]()


def chain(rng: random.Random):
    module = rng.choice([v1, v2])
    body = [part(rng, module) for _ in range(rng.randint(1, 3))]
    return module.Compose([*body, v1.RandomOrder([v1.RandomHorizontalFlip()]), module.CenterCrop(SIDE), v1.ToTensor()])


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def epochs_of(cls, dataset, seed=3, epochs=2, **options):
    """All batches of some epochs, and all generators afterwards."""
    seed_all(seed)
    loader = cls(dataset, **{"batch_size": 4, "shuffle": True, **options})
    made = [batch for _ in range(epochs) for batch in loader]
    return made, GeneratorStates.now().to_json()


def assert_as_stock(dataset, **options) -> None:
    ours, states = epochs_of(fastload.DataLoader, dataset, **options)
    stock, stock_states = epochs_of(torch.utils.data.DataLoader, dataset, **options)
    assert len(ours) == len(stock) > 0
    assert all(
        torch.equal(a, b) for mine, theirs in zip(ours, stock, strict=True) for a, b in zip(mine, theirs, strict=True)
    )
    assert states == stock_states


def in_threads(dataset, **options) -> bool:
    loader = fastload.DataLoader(dataset, batch_size=4, **options)
    return "threads of this process" in loader.explain() and loader.explain().startswith("native")


def choosing():
    """Draws from torch's generator and from Python's in turn."""
    return v1.Compose(
        [
            v1.RandomChoice(
                [v1.RandomResizedCrop(40), v1.Resize((40, 40)), v1.RandomCrop(40, pad_if_needed=True)], [1, 2, 0.5]
            ),
            v1.RandomOrder(
                [v1.RandomHorizontalFlip(), v1.ColorJitter(0.4), v1.RandomChoice([v1.RandomGrayscale(0.5)])]
            ),
            v1.RandomResizedCrop(SIDE),
            v1.ToTensor(),
        ]
    )


@pytest.mark.parametrize("num_workers", [0, 2, 3])
def test_several_epochs(root, num_workers):
    dataset = ImageFolder(root, choosing())
    assert in_threads(dataset, num_workers=num_workers)
    assert_as_stock(dataset, num_workers=num_workers, epochs=3)


def test_persistent_workers_and_an_epoch_that_was_left(root):
    dataset = ImageFolder(root, choosing())

    def batches(cls):
        seed_all(5)
        loader = cls(dataset, batch_size=4, shuffle=True, num_workers=2, persistent_workers=True)
        return [next(iter(loader))[0], *[images for _ in range(2) for images, _ in loader]]

    for mine, theirs in zip(batches(fastload.DataLoader), batches(torch.utils.data.DataLoader), strict=True):
        assert torch.equal(mine, theirs)


@settings(max_examples=cases(12, 100))
@given(seed=st.integers(0, 2**32 - 1))
def test_any_containers(root, seed):
    transform = chain(random.Random(seed))
    if read(transform).tail:
        assert "32 steps" in read(transform).tail_reason
        return
    assert_as_stock(ImageFolder(root, transform), seed=seed, epochs=1)


@settings(max_examples=cases(3, 20))
@given(seed=st.integers(0, 2**32 - 1))
def test_any_containers_in_workers(root, seed):
    assert_as_stock(ImageFolder(root, chain(random.Random(seed))), seed=seed, epochs=1, num_workers=2)


def test_ranks(root):
    dataset = ImageFolder(root, choosing())
    for rank in (0, 1):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, seed=4)
        assert_as_stock(dataset, shuffle=None, sampler=sampler, num_workers=2, epochs=1)


class Drawn:
    """Python's part of a chain, which draws too."""

    def __call__(self, image):
        return image + random.random() + np.random.rand() + torch.rand(1)


def add_draw(target):
    return target + random.randrange(1000)


class DrawingSampler(torch.utils.data.SequentialSampler):
    def __iter__(self):
        for index in super().__iter__():
            random.gauss(0, 1)
            yield index


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_tail_that_draws_too_is_no_threads(root, num_workers):
    chain = choosing()
    chain.transforms.append(Drawn())
    dataset = ImageFolder(root, chain)
    assert not in_threads(dataset, num_workers=num_workers)
    assert_as_stock(dataset, num_workers=num_workers)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_target_transform_that_draws_too_is_no_threads(root, num_workers):
    dataset = ImageFolder(root, choosing(), add_draw)
    assert not in_threads(dataset, num_workers=num_workers)
    assert_as_stock(dataset, num_workers=num_workers)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_sampler_that_draws_too(root, num_workers):
    dataset = ImageFolder(root, choosing())
    assert_as_stock(dataset, shuffle=None, sampler=DrawingSampler(dataset), num_workers=num_workers)


def test_code_between_two_batches_draws_too(root):
    dataset = ImageFolder(root, choosing())

    def batches(cls):
        seed_all(1)
        return [(images, random.gauss(0, 1), np.random.rand()) for images, _ in cls(dataset, batch_size=4)]

    for mine, theirs in zip(batches(fastload.DataLoader), batches(torch.utils.data.DataLoader), strict=True):
        assert torch.equal(mine[0], theirs[0]) and mine[1:] == theirs[1:]


def test_items_of_our_data_sets_and_single_images(root):
    dataset, ours = ImageFolder(root, choosing()), fastload.ImageFolder(root, choosing())
    for indices in ([3], [1, 1, 5]):
        results = []
        for get in (
            ours.__getitems__,
            lambda indices: [ours[i] for i in indices],
            lambda indices: [dataset[i] for i in indices],
        ):
            seed_all(8)
            results.append((torch.stack([image for image, _ in get(indices)]), GeneratorStates.now().to_json()))
        assert all(torch.equal(results[0][0], images) and results[0][1] == states for images, states in results[1:])
    path, transform = dataset.samples[0][0], fastload.native(choosing())
    results = []
    for image, call in (
        (fastload.open(path), transform),
        (fastload.open(path), transform),
        (dataset.loader(path), choosing()),
    ):
        seed_all(9)
        results.append((call(image.convert("RGB")), GeneratorStates.now().to_json()))
    assert all(torch.equal(results[-1][0], values) and results[-1][1] == states for values, states in results)


def test_a_sample_that_fails_draws_nothing(root, tmp_path):
    folder = write_folder(tmp_path / "damaged", classes=1, images=6)
    dataset = ImageFolder(folder, choosing())
    with open(dataset.samples[3][0], "wb") as file:
        file.write(b"no image")

    def run(cls):
        seed_all(2)
        images = []
        iterator = iter(cls(dataset, batch_size=2))
        for _ in range(3):
            try:
                images.append(next(iterator)[0])
            except Exception as error:
                images.append(type(error).__mro__[-3])
        return images, GeneratorStates.now().to_json()

    (ours, states), (stock, stock_states) = run(fastload.DataLoader), run(torch.utils.data.DataLoader)
    assert torch.equal(ours[0], stock[0]) and torch.equal(ours[2], stock[2]) and states == stock_states


# What seeds workers


def seed_from_torch(worker_id):
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def seed_by_number(worker_id, start):
    random.seed(start + worker_id)


def seed_from_sequence(worker_id):
    sequence = np.random.SeedSequence([torch.initial_seed() - worker_id, worker_id])
    np.random.seed(sequence.generate_state(4))
    random.seed((torch.initial_seed() << 32) | worker_id)


def seed_from_nowhere(worker_id):
    random.seed(None)


@pytest.mark.parametrize(
    "worker_init_fn",
    [seed_from_torch, functools.partial(seed_by_number, start=77), seed_from_sequence],
    ids=["torch", "number", "sequence"],
)
def test_a_worker_init_fn_that_seeds(root, worker_init_fn):
    dataset = ImageFolder(root, choosing())
    options = {"num_workers": 2, "worker_init_fn": worker_init_fn, "multiprocessing_context": "fork"}
    assert in_threads(dataset, **options)
    assert_as_stock(dataset, **options)


def test_a_worker_init_fn_whose_seed_is_not_known(root):
    """Where nobody draws from that generator it does not matter."""
    options = {"num_workers": 2, "worker_init_fn": seed_from_nowhere, "multiprocessing_context": "fork"}
    assert not in_threads(ImageFolder(root, choosing()), **options)
    assert in_threads(ImageFolder(root, v1.Compose([v1.RandomResizedCrop(SIDE), v1.ToTensor()])), **options)


class States(torch.utils.data.Dataset):
    """What a worker's generators are when it begins."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return GeneratorStates.now().to_json()


@pytest.mark.parametrize("worker_init_fn", [None, seed_from_torch, seed_from_sequence])
def test_a_workers_generators(worker_init_fn):
    from fastload.batches.worker_seeds import seeds_of_workers

    class All:
        draws_python = draws_numpy = True

    torch.manual_seed(6)
    loader = torch.utils.data.DataLoader(
        States(), num_workers=3, worker_init_fn=worker_init_fn, batch_size=None, multiprocessing_context="fork"
    )
    iterator = iter(loader)
    theirs = list(iterator)
    for seeds, state in zip(seeds_of_workers(worker_init_fn, iterator._base_seed, 3, All()), theirs, strict=True):
        assert isinstance(seeds, WorkerSeeds)
        streams = seeds.streams(All())
        states = GeneratorStates((torch.get_rng_state(), streams.python, streams.numpy), []).to_json()
        assert (states["python"], states["numpy"]) == (state["python"], state["numpy"])


# Going on in the middle of an epoch


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("left_after", [0, 1, 3])
def test_a_resumed_epoch(root, num_workers, left_after):
    dataset = ImageFolder(root, choosing())
    seed_all(4)
    loader = fastload.StatefulDataLoader(dataset, batch_size=4, shuffle=True, num_workers=num_workers)
    assert "threads of this process" in loader.explain()
    iterator = iter(loader)
    for _ in range(left_after):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    rest = [images for images, _ in iterator]
    seed_all(99)
    again = fastload.StatefulDataLoader(dataset, batch_size=4, shuffle=True, num_workers=num_workers)
    again.load_state_dict(state)
    found = [images for images, _ in again]
    assert len(found) == len(rest) > 0 and all(map(torch.equal, found, rest))


def test_a_state_without_what_is_drawn_from_is_refused(root):
    plain = v1.Compose([v1.RandomResizedCrop(SIDE), v1.ToTensor()])
    loader = fastload.StatefulDataLoader(ImageFolder(root, plain), batch_size=4, num_workers=2)
    next(iter(loader))
    again = fastload.StatefulDataLoader(ImageFolder(root, choosing()), batch_size=4, num_workers=2)
    again.load_state_dict(loader.state_dict())
    with pytest.raises(ValueError, match="Python's random, whose state was not saved"):
        next(iter(again))


@pytest.mark.parametrize("damage", ["short", "no list", "index"])
def test_a_state_that_nobody_wrote_is_refused(root, damage):
    dataset = ImageFolder(root, choosing())
    loader = fastload.StatefulDataLoader(dataset, batch_size=4, num_workers=1)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    kept = state["workers"]["0"]
    damaged = {"short": kept[:2], "no list": [kept[0], 5, None], "index": [kept[0], [kept[1][0][:-8], None], None]}
    state["workers"]["0"] = damaged[damage]
    again = fastload.StatefulDataLoader(dataset, batch_size=4, num_workers=1)
    with pytest.raises(ValueError, match="cannot go on from the state"):
        again.load_state_dict(state)
        next(iter(again))


def test_draws_by_index_hang_on_no_generator(root):
    """rng="index": the same samples in threads and in workers, whoever asks for them."""
    dataset = ImageFolder(root, choosing())

    def batches(**options):
        seed_all(3)
        random.random()
        return torch.cat([images for images, _ in fastload.DataLoader(dataset, batch_size=4, rng="index", **options)])

    first = batches()
    assert torch.equal(first, batches(num_workers=2))
    tail = v1.Compose([*choosing().transforms, v1.Lambda(lambda image: image)])
    in_workers = ImageFolder(root, tail)
    seed_all(3)
    other = [images for images, _ in fastload.DataLoader(in_workers, batch_size=4, rng="index")]
    assert torch.equal(first, torch.cat(other))


@pytest.mark.parametrize("name", ["shuffle", "choices"])
def test_a_replaced_function_of_random_is_noticed(root, monkeypatch, name):
    dataset = ImageFolder(root, choosing())
    assert in_threads(dataset)
    original = getattr(random, name)
    monkeypatch.setattr(random, name, lambda *args, **options: original(*args, **options))
    assert not in_threads(dataset)
    assert_as_stock(dataset)
