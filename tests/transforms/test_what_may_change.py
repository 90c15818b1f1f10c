"""Callables of a program that look as if they only handed their image on, or only computed a target, but may do more: the batches
are stock's."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.datasets import ImageFolder

import fastload
from fastload.transforms import as_it_is_now
from images import write_folder

SMALL = v1.Compose([v1.Resize((9, 9)), v1.ToTensor()])
LARGE = v1.Compose([v1.Resize((9, 9)), v1.RandomHorizontalFlip(1), v1.ToTensor()])
OFFSET = 0


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=6, largest=32)


def counter(transform=None):
    count = 0

    def call(value):
        nonlocal count
        count += 1
        if transform is None:
            return value * 100 + count
        return (SMALL if count % 2 else LARGE)(value)

    return call


def same_image():
    flip, first = v1.RandomHorizontalFlip(), v1.Compose([v1.Resize((9, 9)), v1.ToTensor()])

    def call(image):
        flipped = flip(image)
        return first(flipped) if flipped is image else LARGE(flipped)

    return call


def same_as_nothing():
    nothing = v1.Compose([])
    return lambda image: (SMALL if nothing(image) is image else LARGE)(image)


class Descriptor:
    def __get__(self, thing, kind=None):
        return LARGE

    def __delete__(self, thing):
        pass


class Described:
    steps = Descriptor()

    def __init__(self):
        self.__dict__["steps"] = SMALL

    def __call__(self, image):
        return self.steps(image)


class Picks:
    def __init__(self):
        self.first, self.last = SMALL, v1.Normalize([0.5] * 3, [0.5] * 3)

    def pick(self, image):
        self.last = v1.Normalize([0.5] * 3, [float(image.sum())] * 3)
        return image

    def __call__(self, image):
        image = self.first(image)
        image = self.pick(image)
        return self.last(image)


class Held(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = SMALL
        self._call_impl = lambda image: LARGE(image)

    def forward(self, image):
        return self.steps(image)


class OtherDict:
    @property
    def __dict__(self):
        return {"steps": LARGE}

    def __init__(self):
        self.steps = SMALL

    def __call__(self, image):
        return self.steps(image)


class Asked:
    def __init__(self):
        self.__dict__["asked"] = 0

    def __getattr__(self, name):
        self.asked += 1
        return SMALL if self.asked % 2 else LARGE

    def __call__(self, image):
        return self.steps(image)


class Names(dict):
    def __getitem__(self, name):
        return LARGE if name == "STEPS" else dict.__getitem__(self, name)


def of_other_names():
    names = Names(STEPS=SMALL)
    exec("def call(image): return STEPS(image)", names)
    return names["call"]


class Static:
    @staticmethod
    def __call__(image, other=None):
        return SMALL(image)


CALLABLES = {
    "nonlocal": lambda: counter(SMALL),
    "is": same_image,
    "empty Compose is": same_as_nothing,
    "descriptor": Described,
    "a step in between": Picks,
    "call_impl": Held,
    "dict": OtherDict,
    "getattr": Asked,
    "globals": of_other_names,
    "static": Static,
}


def batches(Loader, make, change=None, **options):
    dataset, held = make()
    torch.manual_seed(3)
    loader = Loader(dataset, batch_size=3, shuffle=True, **options)
    taken = []
    for epoch in range(2):
        for number, batch in enumerate(loader):
            taken.append(batch)
            if change is not None and (epoch, number) == (0, 1):
                change(held)
    return taken, torch.get_rng_state()


def assert_as_stock(make, change=None, **options):
    (expected, state), (made, state_too) = (
        batches(Loader, make, change, **options) for Loader in (torch.utils.data.DataLoader, fastload.DataLoader)
    )
    assert len(made) == len(expected) == 8 and torch.equal(state, state_too)
    for mine, theirs in zip(made, expected, strict=True):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])


@pytest.mark.parametrize("name", CALLABLES)
def test_a_callable_that_does_more_than_to_hand_on(name, root):
    assert_as_stock(lambda: (ImageFolder(root, CALLABLES[name]()), None))


def handing(image, steps=None, *, more=SMALL):
    return (steps or more)(image)


def test_what_a_partial_holds_may_change(root):
    def make():
        partial = functools.partial(lambda image, steps: steps(image), steps=SMALL)
        return ImageFolder(root, partial), partial

    assert_as_stock(make, lambda partial: partial.keywords.update(steps=LARGE))


def test_default_arguments_may_change(root):
    def make():
        def call(image, *, steps=SMALL):
            return steps(image)

        return ImageFolder(root, call), call

    assert_as_stock(make, lambda call: call.__kwdefaults__.update(steps=LARGE))


@pytest.mark.parametrize("workers", [0, 1])
def test_nonlocal_in_a_target_transform(root, workers):
    assert_as_stock(lambda: (ImageFolder(root, SMALL, target_transform=counter()), None), num_workers=workers)


def of_global(target):
    return target + OFFSET


def set_offset(value):
    globals()["OFFSET"] = value


def with_a_global(root):
    set_offset(0)
    return ImageFolder(root, SMALL, target_transform=of_global), None


def with_a_table(root, form):
    table = {0: 10, 1: 20}
    forms = {"get": table.get, "closure": lambda target: table[target], "partial": functools.partial(plus, to=table)}
    return ImageFolder(root, SMALL, target_transform=forms[form]), table


def plus(target, to):
    return to[target]


@pytest.mark.parametrize("form", ["get", "closure", "partial"])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_have_a_copy_of_what_a_target_transform_reads(root, form, persistent):
    assert_as_stock(
        lambda: with_a_table(root, form),
        lambda table: table.update({0: 77, 1: 88}),
        num_workers=1,
        prefetch_factor=1,
        persistent_workers=persistent,
    )


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_have_a_copy_of_globals(root, persistent):
    assert_as_stock(
        lambda: with_a_global(root),
        lambda _: set_offset(50),
        num_workers=1,
        prefetch_factor=1,
        persistent_workers=persistent,
    )
    set_offset(0)


def adds(target, more=1, *, most=5):
    return min(target + more, most)


def adds_more(target, more=100, *, most=500):
    return min(target + 100, 500)


def with_a_variable(kind=abs):
    def put(other):
        nonlocal kind
        kind = other

    return lambda target: kind(target + 1), lambda: put(float)


def function_like(function):
    """Another one of the same code, free to be changed."""
    made = type(function)(function.__code__, {**globals()}, "made", function.__defaults__)
    made.__kwdefaults__ = dict(function.__kwdefaults__)
    return made


class Adds:
    def __call__(self, target):
        return target + 1

    def method(self, target):
        return target + 1


def changed_later():
    """Target transforms, and what changes each."""
    one, two, three, four, five, six = (function_like(adds) for _ in range(6))
    yield "code", one, lambda: setattr(one, "__code__", adds_more.__code__)
    yield "defaults", two, lambda: setattr(two, "__defaults__", (100,))
    yield "keyword defaults", three, lambda: three.__kwdefaults__.update(most=0)
    yield "a global", four, lambda: four.__globals__.update(min=max)
    partial = functools.partial(five, more=2)
    yield "a partial's arguments", partial, lambda: partial.keywords.update(more=100)
    handed = functools.partial(lambda function, target: function(target), six)
    yield "a partial's function", handed, lambda: setattr(six, "__code__", adds_more.__code__)
    for module in (v1, v2):
        made = module.Lambda(lambda target: target + 1)
        yield (
            f"lambd of {module.__name__}",
            made,
            functools.partial(setattr, made, "lambd", lambda target: target + 100),
        )
    kind = type("Adds", (), {**vars(Adds)})
    yield "a class", kind(), lambda: setattr(kind, "__call__", lambda self, target: target + 100)
    other = type("Adds", (), {"method": type(Adds.method)(Adds.method.__code__, globals())})
    yield "a method", other().method, lambda: setattr(other.method, "__code__", (lambda self, target: 100).__code__)
    yield "a variable", *with_a_variable()


@pytest.mark.parametrize("number", range(len([*changed_later()])), ids=[name for name, *_ in changed_later()])
def test_a_copy_of_a_function_stays_as_it_is(number):
    _, function, change = [*changed_later()][number]
    copied, before = as_it_is_now(function), function(1)
    change()
    after = function(1)
    assert copied(1) == before and type(copied(1)) is type(before)
    assert (after, type(after)) != (before, type(before))


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_have_a_copy_of_a_target_transform(root, persistent):
    def make():
        made = v1.Lambda(lambda target: target + 1)
        dataset = ImageFolder(root, SMALL, target_transform=made)
        fastload.require_native(fastload.DataLoader(dataset, num_workers=1))
        return dataset, made

    assert_as_stock(
        make,
        lambda made: setattr(made, "lambd", lambda target: target + 100),
        num_workers=1,
        prefetch_factor=1,
        persistent_workers=persistent,
    )
