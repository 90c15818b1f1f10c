"""Code of a program that keeps no batch from native threads, for it is known from the code what it does; and code that does."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder

STEPS = [v1.RandomResizedCrop(16), v1.RandomHorizontalFlip(), v1.ToTensor()]
COMPOSE = v1.Compose(STEPS)
NAMES = ["zero", "one", "two"]
SEED = 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=4, largest=48)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def batches(Loader, dataset, **options):
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    loader = Loader(dataset, batch_size=4, shuffle=True, **{"num_workers": 2, **options})
    return [batch for _ in range(2) for batch in loader], torch.get_rng_state(), loader


def assert_equal_and(way, dataset, **options):
    """``way``: the first words of explain()."""
    expected, state, _ = batches(torch.utils.data.DataLoader, dataset, **options)
    made, state_too, loader = batches(fastload.DataLoader, dataset, **options)
    assert same(made, expected) and torch.equal(state, state_too)
    assert loader.explain().splitlines()[0].startswith(way), loader.explain()


THREADS = "native: images are read, decoded and transformed in 2 threads"
WORKERS = "native: images are read, decoded and transformed in torch's workers, because "
CALLER = "native: images are read, decoded and transformed in the main process (num_workers=0), because "


class Preset:
    """As in torchvision's references."""

    def __init__(self, steps=STEPS, kind=v1.Compose):
        self.transforms = kind(steps)

    def __call__(self, img):
        """Documented."""
        return self.transforms(img)

    def apply(self, img):
        return self.transforms(img)

    @staticmethod
    def static(img):
        return COMPOSE(img)


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.crop, self.rest = STEPS[0], v1.Compose(STEPS[1:])

    def forward(self, x):
        x = self.crop(x)
        x = self.rest(x)
        return x  # noqa: RET504


class Optional:
    def __init__(self, first=None):
        self.first = first
        self.always = COMPOSE

    def __call__(self, image):
        if self.first is not None:
            image = self.first(image)
        return self.always(image)


def function(image):
    return COMPOSE(image)


def around(transform):
    def inner(image):
        out = transform(image)
        return out  # noqa: RET504

    return inner


def applied(transform, image):
    return transform(image)


HAND_ON = {
    "preset": Preset(),
    "preset v2": Preset(
        [v2.RandomResizedCrop(16), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)], v2.Compose
    ),
    "method": Preset().apply,
    "static method": Preset.static,
    "module": Module(),
    "nothing before": Optional(),
    "something before": Optional(v1.Resize(20)),
    "function": function,
    "closure": around(COMPOSE),
    "lambda": lambda image: COMPOSE(image),
    "default": lambda image, transform=COMPOSE: transform(image),
    "partial": functools.partial(applied, COMPOSE),
    "within a Compose": v1.Compose([Preset(STEPS[:1]), *STEPS[1:]]),
    "one in another": around(Preset()),
}


@pytest.mark.parametrize("name", HAND_ON)
def test_a_callable_that_hands_on_is_read_as_what_it_holds(name, root):
    assert_equal_and(THREADS.replace("2 threads", ""), ImageFolder(root, HAND_ON[name]), num_workers=0)


class Twice(Preset):
    def __call__(self, img):
        return self.transforms(img) + self.transforms(img)


class Counts(Preset):
    calls = 0

    def __call__(self, img):
        self.calls += 1
        return self.transforms(img)


class Property:
    @property
    def transforms(self):
        return COMPOSE

    def __call__(self, img):
        return self.transforms(img)


class Asks:
    transforms = COMPOSE

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)

    def __call__(self, img):
        return self.transforms(img)


class Old:
    def __call__(self, img):
        COMPOSE(img)
        return COMPOSE(img)


class Catches:
    def __call__(self, img):
        try:
            return COMPOSE(img)
        except ValueError:
            return None


hooked = Module()
hooked.register_forward_hook(lambda module, args, output: output + 1)


@pytest.mark.parametrize("transform", [Twice(), Counts(), Property(), Asks(), Old(), Catches(), hooked])
def test_a_callable_that_does_more_is_not(transform, root):
    assert_equal_and("stock", ImageFolder(root, transform), num_workers=0)


def test_what_a_callable_holds_may_change(root):
    """At once without workers, as torch sees it."""
    preset = Preset()
    dataset = ImageFolder(root, preset)
    taken = []
    for Loader in (torch.utils.data.DataLoader, fastload.DataLoader):
        preset.transforms = COMPOSE
        torch.manual_seed(3)
        mine = []
        for number, batch in enumerate(Loader(dataset, batch_size=3)):
            mine.append(batch)
            if number == 0:
                preset.transforms = v1.Compose([v1.Resize((9, 9)), v1.ToTensor()])
            if number == 1:
                Preset.__call__ = lambda self, img: self.transforms(img) * 2
        taken.append(mine)
        del Preset.__call__
        Preset.__call__ = Preset.apply
    assert same(*taken) and taken[0][1][0].shape[-1] == 9


def of_the_page(worker_id):
    """PyTorch's page on reproducibility."""
    worker_seed = torch.initial_seed() % 2**32
    np.random.seed(worker_seed)
    random.seed(worker_seed)


def fixed(worker_id):
    import numpy

    torch.manual_seed(SEED + worker_id)
    numpy.random.seed(SEED + worker_id)


class Seeds:
    def __init__(self, base):
        self.base = base

    def __call__(self, worker_id):
        info = torch.utils.data.get_worker_info()
        seed = self.mixed(info.seed) + info.id
        if self.base is not None:
            torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)

    def mixed(self, seed):
        for number in range(3):
            seed = (seed * 31 + number) & (2**62 - 1)
        return seed ^ (seed >> 7)


def with_help(worker_id):
    of_the_page(worker_id)
    if SEED is not None:
        torch.cuda.manual_seed_all(SEED)


def in_sequence(worker_id, rank=0):
    sequence = np.random.SeedSequence([torch.initial_seed() - worker_id, worker_id, rank])
    np.random.seed(sequence.generate_state(4))


SEEDING = {
    "of the page": of_the_page,
    "fixed": fixed,
    "object": Seeds(1),
    "object that leaves torch's alone": Seeds(None),
    "lambda": lambda worker: np.random.seed(worker),
    "with help": with_help,
    "of numpy's own": lambda worker: np.random.seed(np.random.get_state()[1][0] + worker),
    "sequence": functools.partial(in_sequence, rank=1),
}


@pytest.mark.parametrize("name", SEEDING)
def test_a_worker_init_fn_that_only_seeds(name, root):
    assert_equal_and(THREADS, ImageFolder(root, COMPOSE), worker_init_fn=SEEDING[name])


def draws(worker_id):
    torch.rand(1)


def depends(worker_id):
    if torch.initial_seed() % 2:
        torch.manual_seed(worker_id)


def says(worker_id):
    print(end="")
    np.random.seed(worker_id)


def writes(worker_id):
    global SEED
    SEED = worker_id


def draws_a_seed(worker_id):
    torch.manual_seed(np.random.randint(100))


@pytest.mark.parametrize("init", [draws, depends, says, writes, draws_a_seed])
def test_a_worker_init_fn_that_does_more(init, root):
    assert_equal_and(WORKERS, ImageFolder(root, COMPOSE), worker_init_fn=init)


TABLE = {0: 5, 1: 6, 2: 7}
COMPUTED = {
    "plus": lambda target: target + 1,
    "look-up": TABLE.__getitem__,
    "look-up in a function": lambda target: TABLE[target],
    "text": lambda target: NAMES[target],
    "condition": lambda target: 1 if target > 1 else 0,
    "in": lambda target: float(target in (1, 2)),
    "one-hot": v1.Lambda(lambda y: torch.zeros(3).scatter_(0, torch.tensor(y), value=1)),
    "type": torch.tensor,
}


READS_WHAT_MAY_CHANGE = {"look-up", "look-up in a function", "text"}  # workers have a copy


@pytest.mark.parametrize("name", COMPUTED)
def test_a_target_transform_that_only_computes(name, root):
    dataset = ImageFolder(root, COMPOSE, target_transform=COMPUTED[name])
    assert_equal_and("native: images are read, decoded and transformed in", dataset, num_workers=0)
    assert_equal_and(WORKERS if name in READS_WHAT_MAY_CHANGE else THREADS, dataset)


class Remembers:
    def __init__(self):
        self.seen = []

    def __call__(self, target):
        self.seen.append(target)
        return target


IMPURE = {
    "torch draws": lambda target: target + torch.rand(1),
    "random draws": lambda target: random.random() + target,
    "numpy draws": lambda target: np.random.rand(),
    "remembers": Remembers(),
    "condition of a draw": lambda target: 1 if random.random() > 0.5 else target,
}


@pytest.mark.parametrize("name", IMPURE)
def test_a_target_transform_that_draws_or_remembers(name, root):
    assert_equal_and(WORKERS, ImageFolder(root, COMPOSE, target_transform=IMPURE[name]), num_workers=1)


EYE = np.eye(3)
FAILS = {
    "division by zero": lambda target: 1 // 0 if target > 2 else target + 1,
    "type": lambda target: "a" + 1 if target > 2 else target + 1,
    "index": lambda target: [1, 2][5] if target > 2 else target + 1,
    "value": lambda target: range(1, 2, 0) if target > 2 else target + 1,
    "array": lambda target: torch.as_tensor(EYE),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_target_transform_that_would_fail_elsewhere(name, root):
    dataset = ImageFolder(root, COMPOSE, target_transform=FAILS[name])
    assert_equal_and(CALLER, dataset, num_workers=0)


@pytest.mark.parametrize("init", [lambda worker: np.random.seed(1 // worker), lambda worker: torch.manual_seed([1][5])])
def test_a_worker_init_fn_that_fails(init, root):
    loader = fastload.DataLoader(ImageFolder(root, COMPOSE), num_workers=2, worker_init_fn=init)
    assert "there is a worker_init_fn" in loader.explain()


class Unequal:
    """Counts who compares it."""

    seen = 0

    def __eq__(self, other):
        Unequal.seen += 1
        return False

    __hash__ = object.__hash__


def test_nothing_in_a_target_transform_is_compared(root):
    odd = Unequal()
    fastload.DataLoader(ImageFolder(root, COMPOSE, target_transform=lambda target: torch.tensor(odd))).explain()
    assert Unequal.seen == 0


def test_a_target_transform_of_lists_that_are_held(root):
    def dataset():
        made = ImageFolder(root, COMPOSE, target_transform=lambda target: target.pop())
        made.samples = tuple((path, [1, 2, 3, 4]) for path, _ in made.samples)
        return made

    expected, *_ = batches(torch.utils.data.DataLoader, dataset())
    assert same(batches(fastload.DataLoader, dataset())[0], expected)


def test_a_target_transform_that_fails(root):
    dataset = ImageFolder(root, COMPOSE, target_transform=[1, 2].__getitem__)
    loader = fastload.DataLoader(dataset, batch_size=12)
    fastload.require_native(loader)
    with pytest.raises(IndexError, match="list index out of range"):
        next(iter(loader))
