"""Settings and modes of torch and torchvision under which a loader is made or used: stock's batches, of stock's kind."""

from __future__ import annotations

import contextlib
import multiprocessing

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=4, largest=60)


class Halved(TorchFunctionMode):
    """Every number that torch draws is half of what it is."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return result * 0.5 if func is torch.rand else result


class Mirrored(TorchDispatchMode):
    """Quotients are mirrored."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return result.flip(-1) if func is torch.ops.aten.div.Tensor and result.ndim == 3 else result


@contextlib.contextmanager
def setting(change, back):
    change()
    try:
        yield
    finally:
        back()


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


THREADS = torch.get_num_threads()
MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": deterministic,
    "debug": lambda: setting(
        lambda: torch.set_deterministic_debug_mode("error"), lambda: torch.set_deterministic_debug_mode("default")
    ),
    "float64": lambda: setting(
        lambda: torch.set_default_dtype(torch.float64), lambda: torch.set_default_dtype(torch.float32)
    ),
    "device cpu": lambda: torch.device("cpu"),
    "default device cpu": lambda: setting(
        lambda: torch.set_default_device("cpu"), lambda: torch.set_default_device(None)
    ),
    "one thread": lambda: setting(lambda: torch.set_num_threads(1), lambda: torch.set_num_threads(THREADS)),
    "flush": lambda: setting(lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)),
    "function mode": Halved,
    "dispatch mode": Mirrored,
    "TVTensor": lambda: tv_tensors.set_return_type("TVTensor"),
}


def transforms_of(kind):
    if kind == "v1":
        return v1.Compose(
            [v1.RandomResizedCrop(20), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize([0.5], [1e38])]
        )
    if kind == "image":
        return v2.Compose([v2.RandomCrop(24, pad_if_needed=True), v2.RandomHorizontalFlip(), v2.ToImage()])
    if kind == "float image":
        return v2.Compose(
            [v2.Resize((20, 20)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [2])]
        )
    if kind == "python":
        return v2.Compose([v2.RandomResizedCrop(20), v2.ToImage(), lambda image: image + 1])
    return v2.Compose(
        [v2.Resize((20, 20)), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32), v2.ToPureTensor()]
    )


def described(batch):
    images, targets = batch
    plain = images.as_subclass(torch.Tensor)
    return type(images), images.dtype, images.is_inference(), images.requires_grad, images.device.type, plain, targets


def run(Loader, Folder, root, kind, mode, *, when, **options):
    """Two epochs: the mode is there "always", "while used" (but not when the iterator is made) or for one "batch"."""
    torch.manual_seed(5)
    outside = MODES[mode] if when == "always" else contextlib.nullcontext
    inside = MODES[mode] if when != "always" else contextlib.nullcontext
    found = []
    with outside():
        loader = Loader(Folder(root, transforms_of(kind)), batch_size=3, shuffle=True, **options)
        for _ in range(2):
            iterator = iter(loader)
            for number in range(len(iterator)):
                with inside() if when == "while used" or number == 1 else contextlib.nullcontext():
                    found.append(described(next(iterator)))
    return found, torch.get_rng_state()


def assert_same(ours, theirs):
    assert torch.equal(ours[1], theirs[1])
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert mine[:-2] == other[:-2]
        assert torch.equal(mine[-2], other[-2]) and torch.equal(mine[-1], other[-1])


ARMS = [(fastload.DataLoader, ImageFolder), (torch.utils.data.DataLoader, fastload.ImageFolder)]


@pytest.mark.parametrize("when", ["always", "while used", "batch"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["v1", "image", "float image", "python", "pure"])
def test_without_workers(root, kind, mode, when):
    expected = run(torch.utils.data.DataLoader, ImageFolder, root, kind, mode, when=when)
    for Loader, Folder in ARMS:
        assert_same(run(Loader, Folder, root, kind, mode, when=when), expected)


@pytest.mark.parametrize("mode", MODES)
def test_with_workers(root, mode):
    kind = "image" if mode == "TVTensor" else "v1"
    for when in ("always", "while used"):
        options = {"when": when, "num_workers": 1, "multiprocessing_context": "fork"}
        expected = run(torch.utils.data.DataLoader, ImageFolder, root, kind, mode, **options)
        assert_same(run(fastload.DataLoader, ImageFolder, root, kind, mode, **options), expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted({"fork", "spawn"} & {*multiprocessing.get_all_start_methods()}))
def test_images_of_torchvisions_type_from_workers(root, method):
    options = {"when": "always", "num_workers": 1, "multiprocessing_context": method, "persistent_workers": True}
    expected = run(torch.utils.data.DataLoader, ImageFolder, root, "image", "TVTensor", **options)
    assert_same(run(fastload.DataLoader, ImageFolder, root, "image", "TVTensor", **options), expected)


def test_images_of_torchvisions_type_under_every_policy(root):
    with tv_tensors.set_return_type("TVTensor"):
        for options in (
            {"on_error": "skip"},
            {"on_error": "replace"},
            {"device": "cpu"},
            {"memory_format": torch.channels_last},
        ):
            loader = fastload.DataLoader(ImageFolder(root, transforms_of("image")), batch_size=3, **options)
            assert loader.explain().startswith("native") and {type(images) for images, _ in loader} == {
                tv_tensors.Image
            }
    assert {type(images) for images, _ in loader} == {torch.Tensor}


def test_values_that_flushing_changes_are_left_to_torch(root):
    transform = v1.Compose([v1.Resize((8, 8)), v1.ToTensor(), v1.Normalize([0.5] * 3, [1e38] * 3)])
    loader = fastload.DataLoader(ImageFolder(root, transform), batch_size=2)
    assert "threads of this process" in loader.explain()
    with MODES["flush"]():
        assert "set_flush_denormal" in loader.explain()
        assert "threads of this process" in fastload.DataLoader(ImageFolder(root, transforms_of("pure"))).explain()


def test_another_default_device(root):
    """Under "cuda" torchvision draws there; "meta", which is everywhere, has nothing to draw from."""
    loader = fastload.DataLoader(ImageFolder(root, transforms_of("v1")), batch_size=3)
    folder = fastload.ImageFolder(root, v1.Compose([v1.CenterCrop(8), v1.ToTensor()]))
    for within in (
        lambda: torch.device("meta"),
        lambda: setting(lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)),
    ):
        with within():
            assert loader.explain() == "stock: torch's default device is meta"
            with pytest.raises(RuntimeError) as ours:
                next(iter(loader))
            with pytest.raises(RuntimeError) as theirs:
                next(iter(torch.utils.data.DataLoader(loader.dataset, batch_size=3)))
            assert str(ours.value) == str(theirs.value)
            made = [folder[0][0], folder.__getitems__([0])[0][0]]
    assert torch.equal(made[0], made[1]) and made[0].device.type == "cpu"
    assert loader.explain().startswith("native")


def test_a_default_device_that_is_set_while_batches_are_under_way(root):
    """Only the consumer's thread has it: nothing of ours is made there."""
    for options in (
        {},
        {"num_workers": 2},
        {"num_workers": 2, "on_error": "replace"},
        {"num_workers": 2, "device": "cpu"},
    ):
        loader = fastload.StatefulDataLoader(ImageFolder(root, transforms_of("pure")), batch_size=3, **options)
        expected = list(loader)
        iterator = iter(loader)
        found = [next(iterator)]
        with torch.device("meta"):
            found.append(next(iterator) if options else expected[1])
            loader.state_dict()
        found += iterator
        assert all(images.device.type == "cpu" and images.shape[1:] == (3, 20, 20) for images, _ in found)
        if options:
            assert all(torch.equal(a[1], b[1]) for a, b in zip(found, expected, strict=True))


def test_within_vmap(root):
    """torch refuses random numbers there."""
    loaders = [
        Loader(ImageFolder(root, transforms_of("v1")), batch_size=3)
        for Loader in (torch.utils.data.DataLoader, fastload.DataLoader)
    ]
    iterators = [iter(loader) for loader in loaders]
    for iterator in iterators:
        with pytest.raises(RuntimeError, match="random"):
            torch.vmap(lambda x, iterator=iterator: next(iterator)[0] + x)(torch.zeros(2))
