"""A collate_fn that is default_collate, and then MixUp or CutMix: torch's batches bit for bit, from native threads."""

from __future__ import annotations

import functools
import json

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import default_collate
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from images import write_folder

CLASSES = 4
FLOATS = v1.Compose([v1.RandomResizedCrop((20, 28)), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.RandomErasing(0.5)])
BYTES = v1.Compose([v1.RandomResizedCrop((20, 28)), v1.PILToTensor()])
QUIET = v1.Compose([v1.Resize((20, 28)), v1.ToTensor()])
V2 = v2.Compose([v2.RandomResizedCrop(24), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=CLASSES, images=4, largest=48)


def mix_up(alpha=0.2):
    return v2.MixUp(alpha=alpha, num_classes=CLASSES)


def cut_mix(alpha=1.0):
    return v2.CutMix(alpha=alpha, num_classes=CLASSES)


MIXINGS = {
    "MixUp": mix_up,
    "CutMix": cut_mix,
    "a choice": lambda: v2.RandomChoice([mix_up(), cut_mix()]),
    "with probabilities": lambda: v2.RandomChoice([mix_up(1.0), cut_mix(0.3), mix_up(3.0)], p=[0.2, 0.5, 0.3]),
    "a choice in a choice": lambda: v2.RandomChoice([cut_mix(), v2.RandomChoice([mix_up(), cut_mix(4.0)])]),
}


def unpacked(mix):
    """As torchvision's reference has it."""

    def collate_fn(batch):
        return mix(*default_collate(batch))

    return collate_fn


def in_two_lines(mix):
    def collate_fn(samples):
        images, targets = default_collate(samples)
        return mix(images, targets)

    return collate_fn


def in_a_list(mix):
    def collate_fn(samples):
        images, targets = mix(torch.utils.data.default_collate(samples))
        return [images, targets]

    return collate_fn


class Collate:
    def __init__(self, mix):
        self.mix = mix

    def __call__(self, batch):
        batch = default_collate(batch)
        return self.mix(batch)

    def method(self, batch):
        images, targets = self.mix(*default_collate(batch))
        return images, targets


def by_name(mix, batch):
    return mix(*default_collate(batch))


FORMS = {
    "unpacked": unpacked,
    "in two lines": in_two_lines,
    "in a list": in_a_list,
    "a lambda": lambda mix: lambda batch: mix(default_collate(batch)),
    "an object": Collate,
    "a method": lambda mix: Collate(mix).method,
    "a partial": lambda mix: functools.partial(by_name, mix),
}


def batches(Loader, dataset, epochs=2, seed=3, **options):
    """All batches of some epochs, and torch's generator afterwards."""
    torch.manual_seed(seed)
    loader = Loader(dataset, **{"batch_size": 5, "shuffle": True, **options})
    return [batch for _ in range(epochs) for batch in loader], torch.get_rng_state(), loader


def compare(dataset, *, native=True, **options):
    ours, state, loader = batches(fastload.DataLoader, dataset, **options)
    stock, stock_state, _ = batches(torch.utils.data.DataLoader, dataset, **options)
    assert torch.equal(state, stock_state) and len(ours) == len(stock) > 0
    for mine, theirs in zip(ours, stock, strict=True):
        assert type(mine) is type(theirs) and len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride()
            assert torch.equal(a, b)
    assert ("threads of this process" in loader.explain()) == native, loader.explain()
    return loader


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("name", MIXINGS)
def test_mixings(root, name, num_workers):
    loader = compare(ImageFolder(root, FLOATS), collate_fn=unpacked(MIXINGS[name]()), num_workers=num_workers)
    assert "whole batches" in loader.explain()
    fastload.require_native(loader)


@pytest.mark.parametrize("form", FORMS)
def test_forms(root, form):
    compare(ImageFolder(root, FLOATS), collate_fn=FORMS[form](MIXINGS["a choice"]()), num_workers=2)


@pytest.mark.parametrize("transform", [FLOATS, BYTES, QUIET, V2], ids=["floats", "bytes", "no draws", "v2"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_transforms(root, transform, num_workers):
    compare(ImageFolder(root, transform), collate_fn=unpacked(cut_mix()), num_workers=num_workers)
    if transform is not BYTES:
        compare(ImageFolder(root, transform), collate_fn=unpacked(mix_up()), num_workers=num_workers)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1},
        {"batch_size": 2, "num_workers": 3},
        {"batch_size": 100, "num_workers": 2},
        {"drop_last": True, "num_workers": 2, "prefetch_factor": 5},
        {"num_workers": 2, "persistent_workers": True, "epochs": 3},
        {"batch_sampler": [[3, 1], [2], [0, 5, 4, 3]], "num_workers": 2, "batch_size": 1, "shuffle": None},
    ],
    ids=str,
)
def test_options(root, options):
    compare(ImageFolder(root, FLOATS), collate_fn=unpacked(MIXINGS["a choice"]()), **options)


@settings(max_examples=cases(15, 300))
@given(
    seed=st.integers(0, 2**32 - 1), side=st.tuples(st.integers(1, 40), st.integers(1, 40)), alpha=st.floats(1e-3, 50)
)
def test_any_draws(root, seed, side, alpha):
    transform = v1.Compose([v1.Resize(side), v1.ToTensor()])
    mix = v2.RandomChoice([mix_up(alpha), cut_mix(alpha)])
    compare(ImageFolder(root, transform), collate_fn=unpacked(mix), seed=seed, epochs=1, batch_size=3)


def test_plain_collates_of_ones_own(root):
    """Nothing is mixed, and nothing left to workers."""
    dataset = ImageFolder(root, FLOATS)
    compare(dataset, collate_fn=lambda batch: default_collate(batch), num_workers=2)

    def as_tuple(batch):
        images, targets = default_collate(batch)
        return images, targets

    compare(dataset, collate_fn=as_tuple, num_workers=2)


def changed(mix):
    def collate_fn(batch):
        images, targets = default_collate(batch)
        return mix(images * 2, targets)

    return collate_fn


def dropped(mix):
    def collate_fn(batch):
        images, targets = default_collate(batch)
        mix(images, targets)
        return images, targets

    return collate_fn


def twice(mix):
    return lambda batch: mix(*mix(*default_collate(batch)))


def exchanged(mix):
    def collate_fn(batch):
        images, targets = mix(*default_collate(batch))
        return targets, images

    return collate_fn


class Seen(v2.MixUp):
    def make_params(self, inputs):
        return {"lam": 0.25}

    _get_params = make_params


@pytest.mark.parametrize(
    ("form", "mix"),
    [
        (changed, mix_up),
        (dropped, mix_up),
        (twice, lambda: v2.RandomChoice([v2.MixUp(num_classes=None), v2.CutMix(num_classes=None)])),
        (exchanged, cut_mix),
        (unpacked, lambda: Seen(num_classes=CLASSES)),
        (unpacked, lambda: v2.RandomChoice([mix_up(), v2.Identity()])),
        (unpacked, lambda: v2.RandomApply([mix_up()], 0.5)),
        (unpacked, lambda: v2.MixUp(num_classes=CLASSES, labels_getter=lambda inputs: inputs[1])),
    ],
)
def test_what_stays_in_workers(root, form, mix):
    """Whatever the code does, torch's batches."""
    if form is twice:

        def make():
            inner = mix()
            return lambda batch: inner(*cut_mix()(*default_collate(batch)))

        collate_fn = make()
    else:
        collate_fn = form(mix())
    compare(ImageFolder(root, FLOATS), native=False, collate_fn=collate_fn, num_workers=2)


def test_what_the_engine_does_not_mix(root):
    halves = v1.Compose([v1.CenterCrop(20), v1.ToTensor(), v1.ConvertImageDtype(torch.float64)])
    compare(ImageFolder(root, halves), native=False, collate_fn=unpacked(mix_up()), num_workers=2)
    compare(ImageFolder(root, halves), collate_fn=unpacked(cut_mix()), num_workers=2)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"rng": "index"}, "rng='index'"),
        ({"on_error": "skip"}, "on_error='skip'"),
        ({"dtype": torch.float16}, "it mixes float32, and dtype=torch.float16"),
        ({"dtype": torch.bfloat16, "memory_format": torch.channels_last}, "it mixes float32, and dtype=torch.bfloat16"),
    ],
    ids=str,
)
def test_why_it_is_not_native(root, options, why):
    """Which option, which mixing, and what to do."""
    for mix, name in ((mix_up(), "MixUp"), (v2.RandomChoice([cut_mix(), mix_up()]), "RandomChoice")):
        loader = fastload.DataLoader(ImageFolder(root, FLOATS), 4, collate_fn=unpacked(mix), num_workers=1, **options)
        said = f"there is a collate_fn with {name}, which is not native: {why}"
        assert said in loader.explain()
        with pytest.raises(fastload.NotNativeError, match="leave the collate_fn out and mix the batches") as error:
            fastload.require_native(loader)
        assert len(error.value.reasons) == 1 and error.value.reasons[0].startswith(said)
        if "dtype" in options:
            with pytest.raises(ValueError, match=f"need batches from native threads, but: {said}"):
                iter(loader)


def test_why_its_samples_are_not_mixed(root):
    for transform, target_transform, why in [
        (FLOATS, float, "targets are no integers of the data set"),
        (BYTES, None, "it mixes float32, and values are torch.uint8"),
    ]:
        plain = ImageFolder(root, transform, target_transform=target_transform)
        loader = fastload.DataLoader(plain, collate_fn=unpacked(mix_up()), batch_size=4)
        assert f"there is a collate_fn with MixUp, which is not native: {why}" in loader.explain()
    mix = v2.MixUp(num_classes=None)
    loader = fastload.DataLoader(ImageFolder(root, FLOATS), 4, collate_fn=unpacked(mix))
    assert "with MixUp, which is not native: its targets are no plain numbers" in loader.explain()


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("name", "transform", "options"),
    [
        ("a choice", FLOATS, {"memory_format": torch.channels_last}),
        ("a choice", FLOATS, {"memory_format": torch.channels_last, "dtype": torch.float32}),
        ("CutMix", FLOATS, {"dtype": torch.float16}),
        ("CutMix", FLOATS, {"dtype": torch.bfloat16, "memory_format": torch.channels_last}),
        ("CutMix", BYTES, {"memory_format": torch.channels_last}),
        ("CutMix", v1.Compose([v1.Grayscale(), FLOATS]), {"memory_format": torch.channels_last}),
        ("MixUp", V2, {"memory_format": torch.channels_last}),
    ],
)
def test_other_forms_of_a_mixed_batch(root, name, transform, options, num_workers):
    """Stock's batches, then converted."""
    options = {"memory_format": torch.contiguous_format, **options}
    common = {"collate_fn": unpacked(MIXINGS[name]()), "num_workers": num_workers}
    ours, state, loader = batches(fastload.DataLoader, ImageFolder(root, transform), **common, **options)
    stock, stock_state, _ = batches(torch.utils.data.DataLoader, ImageFolder(root, transform), **common)
    assert torch.equal(state, stock_state) and len(ours) == len(stock) > 0
    for mine, theirs in zip(ours, stock, strict=True):
        expected = theirs[0].to(dtype=options.get("dtype"), memory_format=options["memory_format"])
        assert mine[0].dtype == expected.dtype and mine[0].is_contiguous(memory_format=options["memory_format"])
        assert torch.equal(mine[0], expected) and torch.equal(mine[1], theirs[1])
    fastload.require_native(loader)


def more_classes(mix):
    mix.num_classes = CLASSES + 5


def fewer_classes(mix):
    mix.num_classes = 1


def another_alpha(mix):
    mix.alpha, mix._dist = 9.0, torch.distributions.Beta(torch.tensor([9.0]), torch.tensor([0.1]))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("make", "change"),
    [
        (mix_up, more_classes),
        (cut_mix, fewer_classes),
        (lambda: v2.MixUp(num_classes=CLASSES - 1), more_classes),
        (mix_up, another_alpha),
    ],
    ids=["more classes", "fewer", "enough", "alpha"],
)
def test_a_change_in_an_epoch(root, make, change, num_workers):
    """Workers have copies of their own, made when the epoch began: what they mix, and what they refuse, stays as it was."""

    def run(Loader):
        torch.manual_seed(5)
        mix = make()
        loader = Loader(ImageFolder(root, QUIET), 2, collate_fn=unpacked(mix), num_workers=num_workers, shuffle=True)
        taken = []
        for _ in range(2):
            try:
                for number, batch in enumerate(loader):
                    taken.append(batch)
                    if number == 1:
                        change(mix)
            except RuntimeError as error:
                assert "Class values must be smaller than num_classes" in str(error)
                taken.append(None)
        return taken

    ours, stock = run(fastload.DataLoader), run(torch.utils.data.DataLoader)
    assert len(ours) == len(stock) >= 2
    for mine, theirs in zip(ours, stock, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])


def test_changes_count(root):
    """Without workers at once, with them from the next epoch on."""

    def run(Loader, num_workers):
        torch.manual_seed(1)
        mix = v2.RandomChoice([mix_up(), cut_mix()])
        loader, taken = Loader(ImageFolder(root, FLOATS), 4, collate_fn=unpacked(mix), num_workers=num_workers), []
        for epoch in range(3):
            for number, batch in enumerate(loader):
                taken.append(batch)
                if number == 1:
                    mix.p = [0.9, 0.1] if epoch else [0.0, 1.0]
                    mix.transforms[0] = mix_up(3.0)
        return taken

    for num_workers in (0, 2):
        ours, stock = run(fastload.DataLoader, num_workers), run(torch.utils.data.DataLoader, num_workers)
        assert all(
            torch.equal(a, b) for one, other in zip(ours, stock, strict=True) for a, b in zip(one, other, strict=True)
        )


def test_a_target_that_is_too_large(root):
    mix = v2.MixUp(num_classes=2)
    for Loader in (torch.utils.data.DataLoader, fastload.DataLoader):
        with pytest.raises(RuntimeError, match="Class values must be smaller than num_classes"):
            list(Loader(ImageFolder(root, FLOATS), 16, collate_fn=unpacked(mix), num_workers=1))


def test_a_damaged_file_ends_the_batch(root, tmp_path):
    """As without the mixing: an error, and no batch after it."""
    folder = write_folder(tmp_path / "bad", classes=2, images=3)
    bad = sorted(folder.rglob("*.jpg"))[2]
    bad.write_bytes(b"no image")
    loader = fastload.DataLoader(
        ImageFolder(folder, FLOATS), 2, collate_fn=unpacked(v2.MixUp(num_classes=2)), num_workers=1
    )
    taken = iter(loader)
    next(taken)
    with pytest.raises(fastload.DecodeError):
        next(taken)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_epoch(root, num_workers):
    dataset, collate_fn = ImageFolder(root, FLOATS), unpacked(MIXINGS["a choice"]())

    def make():
        return fastload.StatefulDataLoader(dataset, 3, shuffle=True, num_workers=num_workers, collate_fn=collate_fn)

    torch.manual_seed(1)
    loader = make()
    iterator = iter(loader)
    next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    rest = list(iterator)
    torch.manual_seed(2)
    again = make()
    again.load_state_dict(state)
    found = list(again)
    assert len(found) == len(rest) > 0
    assert all(
        torch.equal(a, b) for one, other in zip(found, rest, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_its_time_is_told(root):
    loader = fastload.DataLoader(ImageFolder(root, FLOATS), 4, collate_fn=unpacked(mix_up()), num_workers=2)
    list(loader)
    assert loader.stats()["stages"]["MixUp"] > 0
