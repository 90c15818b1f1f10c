"""Functions of torchvision, Pillow and torch that a program replaces: stock's batches, and explain() says why."""

from __future__ import annotations

import builtins
import sys
import textwrap

import PIL.Image
import PIL.ImageFile
import PIL.JpegImagePlugin
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
import torchvision.transforms.functional as F1
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F2
from test_changes import assert_same
from torch.utils.data import ConcatDataset, Subset
from torchvision.datasets import DatasetFolder, ImageFolder, folder
from torchvision.transforms import _functional_pil
from torchvision.transforms.v2.functional import _geometry

import fastload
from children import run
from images import write_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=6, largest=90)


def train(version):
    return version.Compose(
        [
            version.RandomResizedCrop(24),
            version.RandomHorizontalFlip(),
            version.ToTensor(),
            version.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]),
        ]
    )


def evaluate(version):
    return version.Compose([version.Resize(28), version.CenterCrop(24), version.PILToTensor()])


def turned(original):
    """A function that turns what the original gives, where that is an image."""

    def function(*args, **kwargs):
        result = original(*args, **kwargs)
        return result.rotate(90) if isinstance(result, PIL.Image.Image) else result

    return function


def mirrored(original):
    def function(*args, **kwargs):
        return original(*args, **kwargs).flip(-1)

    return function


def fixed_window(*args):
    return 0, 0, 12, 14


def other_batch(self, indices):
    return [self[index] for index in reversed(indices)]


def constant(value):
    return lambda *args, **kwargs: torch.full((1,), value)


# What is replaced: owner, name, by what made of the original, and the transforms that call it.
REPLACED = [
    (folder, "pil_loader", turned, evaluate),
    (PIL.Image, "open", turned, evaluate),
    (PIL.Image.Image, "convert", turned, evaluate),
    (
        DatasetFolder,
        "__getitem__",
        lambda original: lambda self, index: original(self, (index + 1) % len(self)),
        evaluate,
    ),
    (F1, "resize", turned, evaluate),
    (F2, "resize", turned, evaluate),
    (F1, "center_crop", turned, evaluate),
    (F1, "pil_to_tensor", mirrored, evaluate),
    (F2, "pil_to_tensor", mirrored, evaluate),
    (F1, "resized_crop", turned, train),
    (F2, "resized_crop", turned, train),
    (F1, "hflip", turned, train),
    (F1, "to_tensor", mirrored, train),
    (F1, "normalize", mirrored, train),
    (F2, "normalize", mirrored, train),
    (_functional_pil, "resize", turned, evaluate),
    (_functional_pil, "crop", turned, train),
    (_geometry, "_resize_image_pil", turned, evaluate),
    (PIL.Image.Image, "resize", turned, evaluate),
    (PIL.Image.Image, "crop", turned, train),
    (PIL.Image.Image, "transpose", lambda original: lambda self, method: self.copy(), train),
    (v1.RandomResizedCrop, "get_params", lambda original: staticmethod(fixed_window), train),
    (v1.RandomResizedCrop, "forward", lambda original: turned(original), train),
    (v2.RandomResizedCrop, "forward", lambda original: turned(original), train),
    (v2.RandomHorizontalFlip, "__call__", lambda original: lambda self, image: image.rotate(90), train),
    (v1.Compose, "__call__", lambda original: lambda self, image: original(self, image.rotate(90)), evaluate),
    (v2.Compose, "forward", lambda original: lambda self, image: original(self, image.rotate(90)), evaluate),
    (v1.RandomHorizontalFlip, "p", lambda original: property(lambda self: 1.0, lambda self, value: None), train),
    (torch, "rand", lambda original: constant(0.1), train),
    (torch, "randint", lambda original: constant(1), train),
    (torch.Tensor, "uniform_", lambda original: lambda self, low, high: self.fill_((low + high) / 2), train),
    (torch.nn.Module, "__call__", lambda original: lambda self, image: turned(original)(self, image), train),
]


def name_of(case):
    owner, name, _, _ = case
    return f"{owner.__name__}.{name}"


def replace(monkeypatch, owner, name, make):
    original = getattr(owner, name, None)
    monkeypatch.setattr(owner, name, make(original), raising=False)


def batches(Loader, dataset, at_batch=lambda number: None, **options):
    torch.manual_seed(3)
    found = []
    for epoch in range(2):
        iterator = iter(Loader(dataset, batch_size=3, shuffle=True, **options))
        for number in range(len(iterator)):
            try:
                found.append(next(iterator))
            except ValueError:  # torchvision knows no kernel for a function that is not its own
                found.append([torch.zeros(()), torch.zeros(())])
            at_batch(epoch * 4 + number)
    return [*found, torch.get_rng_state()]


def files(root, transform):
    listed = ImageFolder(root)
    return fastload.ImageFiles([path for path, _ in listed.samples], listed.targets, transform)


@pytest.mark.parametrize("case", REPLACED, ids=name_of)
def test_replaced_before_the_loader_is_made(root, monkeypatch, case):
    owner, name, make, transforms = case
    for version in (v1, v2):
        stock = ImageFolder(root, transforms(version))
        before = batches(torch.utils.data.DataLoader, stock)
        with monkeypatch.context() as patched:
            replace(patched, owner, name, make)
            expected = batches(torch.utils.data.DataLoader, stock)
            matters = not all(torch.equal(a[0], b[0]) for a, b in zip(before[:-1], expected[:-1], strict=True))
            assert_same(batches(fastload.DataLoader, ImageFolder(root, transforms(version))), expected)
            assert_same(batches(torch.utils.data.DataLoader, fastload.ImageFolder(root, transforms(version))), expected)
            explained = fastload.DataLoader(stock).explain()
            assert not matters or name in explained, explained
            assert (
                matters
                or version is v2
                or owner in (F2, v2.Compose, v2.RandomHorizontalFlip, v2.RandomResizedCrop, _geometry)
            )
        explained = fastload.DataLoader(stock, batch_size=3, threads=2).explain()
        assert explained.startswith("native: images are read, decoded and transformed in 2 threads")


@pytest.mark.parametrize("case", REPLACED, ids=name_of)
def test_replaced_in_the_middle_of_an_epoch(root, monkeypatch, case):
    """And put back later."""
    owner, name, make, transforms = case
    version = v2 if owner in (F2, _geometry, v2.Compose, v2.RandomHorizontalFlip, v2.RandomResizedCrop) else v1
    outcomes = []
    for Loader, Folder in [
        (torch.utils.data.DataLoader, ImageFolder),
        (fastload.DataLoader, ImageFolder),
        (torch.utils.data.DataLoader, fastload.ImageFolder),
    ]:
        with monkeypatch.context() as patched:

            def at_batch(number, patched=patched):
                if number == 1:
                    replace(patched, owner, name, make)
                if number == 5:
                    patched.undo()

            outcomes.append(batches(Loader, Folder(root, transforms(version)), at_batch))
    assert_same(outcomes[1], outcomes[0])
    assert_same(outcomes[2], outcomes[0])


@pytest.mark.parametrize(
    "case",
    [case for case in REPLACED if case[1] in ("open", "resize", "get_params", "rand", "pil_loader")],
    ids=name_of,
)
def test_replaced_with_workers(root, monkeypatch, case):
    owner, name, make, transforms = case
    version = v2 if owner is F2 else v1
    replace(monkeypatch, owner, name, make)
    options = {"num_workers": 1, "multiprocessing_context": "fork"}
    expected = batches(torch.utils.data.DataLoader, ImageFolder(root, transforms(version)), **options)
    assert_same(batches(fastload.DataLoader, ImageFolder(root, transforms(version)), **options), expected)
    assert_same(batches(torch.utils.data.DataLoader, files(root, transforms(version)), **options), expected)


def test_replaced_by_a_worker_init_fn(root):
    def init(worker):
        PIL.Image.open = turned(PIL.Image.open)

    options = {"num_workers": 1, "multiprocessing_context": "fork", "worker_init_fn": init}
    expected = batches(torch.utils.data.DataLoader, ImageFolder(root, evaluate(v1)), **options)
    assert_same(batches(fastload.DataLoader, ImageFolder(root, evaluate(v1)), **options), expected)
    assert_same(batches(torch.utils.data.DataLoader, files(root, evaluate(v1)), **options), expected)


def test_the_code_of_a_function(root, monkeypatch):
    def hflip(img):
        return img.rotate(90)

    monkeypatch.setattr(_functional_pil.hflip, "__code__", hflip.__code__)
    expected = batches(torch.utils.data.DataLoader, ImageFolder(root, train(v1)))
    assert_same(batches(fastload.DataLoader, ImageFolder(root, train(v1))), expected)


@pytest.mark.parametrize(
    ("kind", "name"), [(Subset, "__getitem__"), (Subset, "__getitems__"), (ConcatDataset, "__getitem__")]
)
def test_data_sets_around_it(root, monkeypatch, kind, name):
    """The classes, and ``__getitems__`` also of an object."""

    def dataset():
        plain = ImageFolder(root, evaluate(v1))
        return Subset(plain, range(10)) if kind is Subset else ConcatDataset([plain, plain])

    with monkeypatch.context() as patched:
        original = getattr(kind, name)
        replacement = other_batch if name == "__getitems__" else lambda self, index: original(self, (index + 1) % 10)
        patched.setattr(kind, name, replacement)
        expected = batches(torch.utils.data.DataLoader, dataset())
        assert_same(batches(fastload.DataLoader, dataset()), expected)
    for make in (dataset, lambda: ImageFolder(root, evaluate(v1)), lambda: files(root, evaluate(v1))):
        theirs, ours = make(), make()
        for made in (theirs, ours):
            made.__getitems__ = other_batch.__get__(made)
        expected = batches(torch.utils.data.DataLoader, theirs)
        assert_same(batches(fastload.DataLoader, ours), expected)
        plain = batches(torch.utils.data.DataLoader, make())
        assert any(not torch.equal(a[1], b[1]) for a, b in zip(expected[:-1], plain[:-1], strict=True))


def test_our_own_data_sets_are_replaced_too(root, monkeypatch):
    monkeypatch.setattr(fastload.ImageFiles, "__getitem__", lambda self, index: (torch.zeros(3, 2, 2), index))
    expected = batches(torch.utils.data.DataLoader, files(root, evaluate(v1)))
    assert_same(batches(fastload.DataLoader, files(root, evaluate(v1))), expected)
    assert expected[0][0].sum() == 0


def test_the_image_backend(root, monkeypatch):
    """accimage is asked, which is not here: torchvision falls back on Pillow where reading fails, not where importing does."""
    monkeypatch.setattr(torchvision, "_image_backend", "accimage")
    loader = fastload.DataLoader(ImageFolder(root, evaluate(v1)))
    assert loader.explain() == "stock: torchvision's image backend is accimage"
    with pytest.raises(ModuleNotFoundError):
        next(iter(loader))


def test_the_image_backend_in_the_middle_of_an_epoch(root, monkeypatch):
    monkeypatch.setattr(folder, "accimage_loader", turned(folder.pil_loader))

    def at_batch(number):
        monkeypatch.setattr(torchvision, "_image_backend", "accimage" if number % 2 == 0 else "PIL")

    outcomes = []
    for Loader, Folder in [
        (torch.utils.data.DataLoader, ImageFolder),
        (fastload.DataLoader, ImageFolder),
        (torch.utils.data.DataLoader, fastload.ImageFolder),
    ]:
        outcomes.append(batches(Loader, Folder(root, evaluate(v1)), at_batch))
    assert_same(outcomes[1], outcomes[0])
    assert_same(outcomes[2], outcomes[0])


def test_a_plugin_that_opens_jpegs(root, monkeypatch):
    factory, accept = PIL.Image.OPEN["JPEG"]
    monkeypatch.setitem(PIL.Image.OPEN, "JPEG", (lambda *args: turned(factory)(*args), accept))
    stock = ImageFolder(root, evaluate(v1))
    expected = batches(torch.utils.data.DataLoader, stock)
    assert_same(batches(fastload.DataLoader, stock), expected)
    assert fastload.DataLoader(stock).explain().startswith("stock: ")


def test_a_plugin_for_other_files_changes_nothing(root, monkeypatch):
    monkeypatch.setattr(PIL.Image, "ID", list(PIL.Image.ID))
    monkeypatch.setattr(PIL.Image, "OPEN", dict(PIL.Image.OPEN))
    PIL.Image.register_open("XYZ", lambda *args: None, lambda prefix: prefix[:3] == b"XYZ")
    assert fastload.DataLoader(ImageFolder(root, evaluate(v1)), batch_size=2).explain().startswith("native")


def test_what_no_batch_depends_on_may_be_replaced(root, monkeypatch):
    for owner, name in [
        (F1, "rotate"),
        (F1, "adjust_hue"),
        (PIL.Image.Image, "save"),
        (PIL.Image, "effect_noise"),
        (torch, "matmul"),
    ]:
        monkeypatch.setattr(owner, name, turned(getattr(owner, name)))
    monkeypatch.setattr(builtins, "print", turned(print))
    assert "threads of this process" in fastload.DataLoader(ImageFolder(root, train(v1)), batch_size=2).explain()
    assert "threads of this process" in fastload.DataLoader(ImageFolder(root, train(v2)), batch_size=2).explain()


PATCHES = [
    "PIL.Image.open = turned(PIL.Image.open)",
    "folder.default_loader = wrapped(folder.default_loader)",
    "F.resize = functools.partial(turned(F.resize))",
    "v1.Resize.forward = wrapped(v1.Resize.forward)",
    "DatasetFolder.__getitem__ = shifted(DatasetFolder.__getitem__)",
    "F.resize.__code__ = (lambda img, *args, **kwargs: img.resize((28, 28), 0)).__code__",
]


def test_replaced_before_we_are_imported(root):
    """functools.wraps gives a function another's name and module; its code tells."""
    code = f"""
    import functools, os, sys, traceback, unittest.mock
    import PIL.Image, torch, torchvision.transforms as v1
    import torchvision.transforms.functional as F
    from torchvision.datasets import DatasetFolder, ImageFolder, folder

    def turned(original):
        def function(*args, **kwargs):
            result = original(*args, **kwargs)
            return result.rotate(90) if isinstance(result, PIL.Image.Image) else result
        return function

    def wrapped(original):
        return functools.wraps(original)(turned(original))

    def shifted(original):
        return functools.wraps(original)(lambda self, index: original(self, (index + 1) % len(self)))

    def check(patch):
        exec(patch)
        import fastload
        transform = v1.Compose([v1.Resize((28, 28)), v1.ToTensor()])
        listed = ImageFolder({str(root)!r}, transform)
        files = fastload.ImageFiles([path for path, _ in listed.samples], listed.targets, transform)
        found = [fastload.DataLoader(dataset, batch_size=4) for dataset in (listed, files)]
        explained = [loader.explain() for loader in found]
        assert patch == "pass" or not all("threads of this process" in text for text in explained), explained
        assert patch != "pass" or all("threads of this process" in text for text in explained), explained
        for loader in found:
            expected = list(torch.utils.data.DataLoader(loader.dataset, batch_size=4))
            for ours, theirs in zip(loader, expected, strict=True):
                assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])

    failed = []
    for patch in ["pass", *{PATCHES!r}]:
        child = os.fork()
        if child == 0:
            try:
                check(patch)
            except BaseException:
                print(patch)
                traceback.print_exc()
                sys.stdout.flush()
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            failed.append(patch)
    sys.exit(bool(failed))
    """
    done = run(sys.executable, "-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stdout + done.stderr
