"""Resume states: what no loader wrote, or what this loader cannot go on from, is refused when it is loaded, and changes nothing."""

from __future__ import annotations

import base64
import copy
import json
import random

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset, IterableDataset, RandomSampler, SequentialSampler
from torch.utils.data.distributed import DistributedSampler
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from fastload.engine.random_generators import GeneratorStates, torch_state_from_json
from images import write_folder
from recipes import InPython

NATIVE = v1.Compose([v1.RandomResizedCrop(8), v1.RandomHorizontalFlip(), v1.ToTensor()])
WITH_CODE = v1.Compose([*NATIVE.transforms, InPython(0.5)])
SIZE = 12


class Numbers(Dataset):
    def __init__(self, size=SIZE):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index, torch.rand(2)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(SIZE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=1, images=SIZE, largest=30)


def build(dataset, **options):
    options = {"batch_size": 3, **options}
    return fastload.StatefulDataLoader(dataset, **options)


def state_after(loader, batches):
    iterator = iter(loader)
    for _ in range(batches):
        next(iterator)
    return json.loads(json.dumps(loader.state_dict()))


def refuse(loader, state, match, error=ValueError):
    """It is refused, and the loader is as it was."""
    before = loader.state_dict()
    with pytest.raises(error, match=match):
        loader.load_state_dict(state)
    assert loader._loaded is None
    after = loader.state_dict()
    assert {**before, "generators": None, "start": None} == {**after, "generators": None, "start": None}


def test_a_state_that_is_cut_short(folder):
    loader = build(ImageFolder(folder, NATIVE), shuffle=True, num_workers=2)
    whole = state_after(loader, 2)
    for name in whole:
        if name != "_fastload_format":
            refuse(loader, {key: value for key, value in whole.items() if key != name}, f"not whole: it lacks {name}")
    refuse(loader, {"_fastload_format": 2}, "it lacks _num_yielded, .*workers")
    for nothing in (None, [], "state", 7, {"_num_yielded": 3}):
        refuse(loader, nothing, "no state of fastload")


@pytest.mark.parametrize("version", [0, 1, 3, "2", 2.0, None, True])
def test_another_version(version):
    loader = build(Numbers())
    refuse(loader, {**state_after(loader, 1), "_fastload_format": version}, "another version")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("_num_yielded", [-1, "1", 1.0, None, True, 2**70, 3]),
        ("_sampler_iter_yielded", [-1, "1", 1.5, None, 10**9, 0]),
        ("samples", [-1, 1, None, 10**9, SIZE + 1]),
        ("_iterator_finished", [0, 1, None, "no"]),
        ("rng", [None, "index", 3, ["stock"]]),
        ("seed", [-1, 2**64, None, "0"]),
        ("num_workers", [-1, None, 2**40, "0"]),
        ("num_replicas", [0, -1, None, 2**40]),
        ("epoch", [-1, None, 2**31, 0.0]),
        ("sampler_epoch", ["1", 2**64, 0.5]),
        ("base_seed", [-1, None, 2**63, "1"]),
        ("next_worker", [-1, None, 2**64]),
        ("length", [-1, SIZE - 1, SIZE + 1, "12"]),
        ("style", [None, "iterable-style, batches", "map-style, single samples"]),
        ("sampler", [None, "torch.utils.data.sampler.SequentialSampler"]),
        ("start", [{}, [], "", {"torch": ""}]),
        ("generators", [None, {}, [], "x"]),
        (
            "workers",
            [None, [], {"0": 3}, {"1": {}}, {"x": {}}, {"0": {"unknown": 1}}, {"0": {"taken": -1}}, {"0": "AAAA"}],
        ),
        ("sampler_state", [{}, [], {"else": 1}, {"sampler": {}}, "x"]),
        ("failures", [None, [1], [1, -1], [1, 2, 3], "12"]),
    ],
)
def test_every_field_is_checked(name, wrong):
    loader = build(Numbers(), shuffle=True)
    state = state_after(loader, 2)
    for value in wrong:
        refuse(loader, {**state, name: value}, ".", (ValueError, AssertionError))
    assert len(list(loader)) == 4


def torch_state(left, following, seeded=1):
    state = torch.Generator().manual_seed(3).get_state().numpy().copy()
    state[8:12] = np.array([left], np.int32).view(np.uint8)
    state[12:16] = np.array([seeded], np.int32).view(np.uint8)
    state[16:24] = np.array([following], np.uint64).view(np.uint8)
    return base64.b64encode(state.tobytes()).decode()


@pytest.mark.parametrize(
    ("left", "following"),
    [(0, 0), (-1, 0), (625, 0), (624, 2), (624, 624), (2, 624), (1, 625), (10, 2**40), (1, 2**63)],
)
def test_a_mersenne_state_that_would_be_read_out_of_bounds(folder, left, following):
    with pytest.raises(ValueError, match="generator"):
        torch_state_from_json(torch_state(left, following))
    loader = build(ImageFolder(folder, NATIVE), num_workers=1)
    state = state_after(loader, 1)
    refuse(loader, {**state, "workers": {"0": torch_state(left, following)}}, "workers")
    refuse(loader, {**state, "start": {**state["start"], "torch": torch_state(left, following)}}, "start")


@pytest.mark.parametrize(("left", "following"), [(1, 0), (1, 624), (624, 1), (2, 623), (300, 325)])
def test_a_mersenne_state_that_torch_can_have(left, following):
    assert torch_state_from_json(torch_state(left, following)).numel() == torch.get_rng_state().numel()


def test_torch_itself_only_has_such_states():
    generator = torch.Generator().manual_seed(5)
    for _ in range(1300):
        assert torch.equal(
            torch_state_from_json(base64.b64encode(generator.get_state().numpy().tobytes())), generator.get_state()
        )
        torch.rand((), generator=generator)


def test_states_of_pythons_and_numpys_generators():
    whole = GeneratorStates.now().to_json()
    words, gauss = whole["python"]
    key, pos, has_gauss, cached = whole["numpy"]
    short = base64.b64encode(base64.b64decode(words)[:-4]).decode()
    for damaged in (
        {"python": [short, gauss]},
        {"python": [words, "0.5"]},
        {"python": ["?" + words, gauss]},
        {"python": [base64.b64encode(b"\xff" * 2500).decode(), gauss]},
        {"numpy": [key, 625, has_gauss, cached]},
        {"numpy": [key, -1, has_gauss, cached]},
        {"numpy": [key[:-8], pos, has_gauss, cached]},
        {"numpy": [key, pos, 7, cached]},
        {"numpy": [key, pos, has_gauss, None]},
        {"own": None},
        {"own": [""]},
    ):
        with pytest.raises(ValueError):
            GeneratorStates.from_json({**whole, **damaged})


def test_states_of_another_kind_of_loader(folder):
    threads = build(ImageFolder(folder, NATIVE), num_workers=2)
    workers = build(ImageFolder(folder, WITH_CODE), num_workers=2)
    refuse(workers, state_after(threads, 1), "made by threads, here they are made by torch's workers")
    refuse(threads, state_after(workers, 1), "made by torch's workers, here they are made by threads")
    stream, single = build(Stream()), build(Numbers(), batch_size=None)
    refuse(build(Numbers()), state_after(stream, 1), "iterable-style, batches, but this one is map-style, batches")
    refuse(build(Numbers()), state_after(single, 1), "map-style, single samples")
    refuse(build(Numbers(SIZE + 1)), state_after(build(Numbers()), 1), "12 samples, this one has 13")
    mine = torch.Generator()
    refuse(build(Numbers(), shuffle=True, generator=mine), state_after(build(Numbers(), shuffle=True), 1), "generators")


def test_a_position_that_the_epoch_does_not_have(folder):
    for options in ({}, {"shuffle": True}, {"sampler": SequentialSampler(range(6))}, {"batch_size": None}):
        loader = build(Numbers(), **options)
        state = state_after(loader, 1)
        many = {"_sampler_iter_yielded": 50, "samples": 50}
        refuse(loader, {**state, **many}, "stands after 50 samples")
    sampler = DistributedSampler(range(SIZE), 2, 0)
    loader = build(Numbers(), sampler=sampler)
    refuse(loader, {**state_after(loader, 1), "samples": SIZE + 1}, "stands after 13 samples")


class Every(torch.utils.data.Sampler):
    """Nothing tells how many these are."""

    def __iter__(self):
        return iter([[0, 1], [2], [3, 4, 5]])


def test_a_sampler_that_ends_too_early(folder):
    """Found when the iterator is made; the state stays loaded, so that no whole epoch begins unasked."""
    loader = build(Numbers(), batch_size=1, batch_sampler=Every())
    state = state_after(loader, 2)
    loader.load_state_dict({**state, "_sampler_iter_yielded": 9})
    for _ in range(2):
        with pytest.raises(ValueError, match="after 9 batches of an epoch: the sampler gives 3"):
            iter(loader)
    loader.load_state_dict(state)
    assert [batch[0].tolist() for batch in loader] == [[3, 4, 5]]
    stream = build(Stream())
    state = state_after(stream, 2)
    state["workers"]["0"]["taken"] = 10**15
    stream.load_state_dict(state)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"samples of Stream: it gives 12"):
            iter(stream)
    stream.load_state_dict({})
    assert len(list(stream)) == 4


def test_a_loader_that_was_changed_after_the_state_was_taken(folder):
    """``iter()`` refuses, again and again, until the loader fits or the state is taken back."""
    loader = build(ImageFolder(folder, NATIVE), shuffle=True, num_workers=2)
    state = state_after(loader, 1)
    rest = state_after(loader, 1)
    loader.load_state_dict(state)
    loader.num_workers = 3
    for _ in range(2):
        with pytest.raises(AssertionError, match="num_workers=2, but here it is 3"):
            iter(loader)
    assert loader.state_dict() == state != rest
    loader.num_workers = 2
    assert len(list(loader)) == 3 and len(list(loader)) == 4
    loader.load_state_dict(state)
    loader.num_workers = 3
    loader.load_state_dict({})
    assert len(list(loader)) == 4


def test_after_a_refused_state_an_earlier_one_still_counts():
    loader = build(Numbers())
    state = state_after(loader, 3)
    loader.load_state_dict(state)
    with pytest.raises(ValueError):
        loader.load_state_dict({**state, "samples": -1})
    assert loader.state_dict() == state
    assert [batch[0].tolist() for batch in loader] == [[9, 10, 11]]


def test_an_iterator_under_way_is_not_disturbed_by_a_refused_state():
    loader = build(Numbers())
    iterator = iter(loader)
    next(iterator)
    with pytest.raises(ValueError):
        loader.load_state_dict({"_fastload_format": 2})
    next(iterator)
    assert loader.state_dict()["_num_yielded"] == 2 and len(list(iterator)) == 2


def test_batches_of_another_size_go_on_with_the_next_sample():
    """As torchdata's: every sample is given once."""
    for options in ({}, {"sampler": RandomSampler(range(SIZE), generator=torch.Generator().manual_seed(2))}):
        first = build(Numbers(), **options)
        iterator = iter(first)
        given = next(iterator)[0].tolist()
        state = json.loads(json.dumps(first.state_dict()))
        rest = [index for batch in iterator for index in batch[0].tolist()]
        again = build(Numbers(), **{**options, "batch_size": 4})
        again.load_state_dict(state)
        batches = [batch[0].tolist() for batch in again]
        assert [len(batch) for batch in batches] == [4, 4, 1] and [
            index for batch in batches for index in batch
        ] == rest
        assert sorted(given + rest) == list(range(SIZE))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30]),
    st.floats(),
    st.text(max_size=4),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-1, 5), max_size=3),
    st.dictionaries(st.sampled_from(["0", "1", "torch", "taken", "sampler"]), st.integers(-1, 5), max_size=2),
)


def paths_of(state, path=()):
    yield path
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    for key, value in items:
        yield from paths_of(value, (*path, key))


def changed(draw, state, path):
    """Something at the path is removed, replaced, or, if it is text, damaged."""
    if not path:
        return draw(VALUES)
    state = copy.deepcopy(state)
    holder = state
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    how = draw(st.sampled_from(["remove", "replace", "replace", "damage", "add"]))
    if how == "remove":
        del holder[path[-1]]
    elif how == "damage" and isinstance(old, str) and old:
        raw = bytearray(base64.b64decode(old)) if len(old) > 100 else bytearray(old.encode())
        at = draw(st.integers(0, min(len(raw), 40) - 1))  # the counters stand in front
        raw[at] = draw(st.integers(0, 255))
        holder[path[-1]] = base64.b64encode(raw).decode() if len(old) > 100 else raw.decode(errors="replace")
    elif how == "add" and isinstance(old, dict):
        old[draw(st.text(max_size=3))] = draw(VALUES)
    elif isinstance(old, int) and draw(st.booleans()):
        holder[path[-1]] = old + draw(st.integers(-3, 3))
    else:
        holder[path[-1]] = draw(VALUES)
    return state


@pytest.fixture(scope="module")
def loaders(folder):
    def kinds():
        own = torch.Generator().manual_seed(1)
        return [
            build(ImageFolder(folder, NATIVE), shuffle=True, num_workers=2, generator=own),
            build(ImageFolder(folder, NATIVE), rng="index", on_error="skip"),
            build(ImageFolder(folder, WITH_CODE), shuffle=True),
            build(Numbers(), sampler=DistributedSampler(range(SIZE), 2, 1)),
            build(Numbers(), batch_size=None),
            build(Stream()),
        ]

    return [(state_after(loader, batches), loader) for batches in (2, 0) for loader in kinds()]


@settings(
    max_examples=cases(50, 150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_whatever_a_state_says_it_is_refused_or_resumed(loaders, data):
    """Refused when it is loaded, with our error; or the epoch goes on and ends, as do the next."""
    state, loader = data.draw(st.sampled_from(loaders))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(paths_of(state)))) if isinstance(state, dict) else ()
        state = changed(data.draw, state, path)
    python, numpy = random.getstate(), np.random.get_state()
    try:
        loader.load_state_dict(json.loads(json.dumps(state)))
    except (ValueError, AssertionError) as error:
        assert str(error) and not isinstance(error, UnicodeError)
        loader.load_state_dict({})
        return
    try:
        batches = [len(list(loader)), len(list(loader))]
    except ValueError as error:  # of a stream, which tells no length
        assert "cannot go on after" in str(error)
        loader.load_state_dict({})
        return
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
    assert batches[0] <= batches[1] == len(list(loader))


@pytest.mark.parametrize("shuffled", [True, False])
def test_the_order_of_another_sampler_is_refused(shuffled):
    first = fastload.StatefulDataLoader(range(20), batch_size=4, shuffle=shuffled)
    next(iter(first))
    second = fastload.StatefulDataLoader(range(20), batch_size=4, shuffle=not shuffled)
    with pytest.raises(ValueError, match="its samples came from a torch"):
        second.load_state_dict(first.state_dict())
