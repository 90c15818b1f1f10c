"""Loader configurations drawn by hypothesis: data set, transforms, sampler, options, and how the loader is used."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, ConcatDataset, Dataset, Subset, random_split
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import pil_loader
from torchvision.transforms.functional import InterpolationMode

import fastload
from images import picture

IMAGES = 8  # in each folder


def write_folders(root: Path) -> Path:
    """Three folders of two classes of four tiny images: JPEGs, other formats among them, damaged files among them."""
    for name in ("jpeg", "mixed", "damaged"):
        for number in range(IMAGES):
            path = root / name / f"class{number % 2}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(number, 24 + 37 * number % 41, 24 + 23 * number % 39).save(
                path, quality=90, progressive=number == 3
            )
    mixed, damaged = root / "mixed", root / "damaged"
    for number, (mode, suffix) in enumerate(
        [("RGB", "png"), ("P", "png"), ("L", "jpg"), ("CMYK", "jpg"), ("RGBA", "webp")]
    ):
        (mixed / f"class{number % 2}" / f"{number}.jpg").unlink()
        picture(number, 50, 31 + number).convert(mode).save(mixed / f"class{number % 2}" / f"{number}.{suffix}")
    whole = (damaged / "class1" / "1.jpg").read_bytes()
    (damaged / "class1" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (damaged / "class0" / "4.jpg").write_text("no image")
    (damaged / "class1" / "5.jpg").unlink()
    (damaged / "class1" / "5.jpg").symlink_to("nowhere.jpg")
    return root


# User code: the names say what each draws from.


def noisy_target(target: int) -> float:
    return target + torch.rand(()).item() + random.random() + float(np.random.rand())


def noisy_pixels(image: Any) -> Any:
    """Of any sample that is a tensor; draws from three generators."""
    noise = torch.rand(1).item() + random.random() + float(np.random.rand())
    return image + noise if isinstance(image, torch.Tensor) and image.is_floating_point() else image


def as_dictionary(samples: list) -> dict[str, Any]:
    return {"last": samples[-1], "count": len(samples), "seen": torch.utils.data.get_worker_info() is None}


def noisy_collate(samples: list) -> tuple:
    return torch.utils.data.default_collate(samples), torch.rand(2), random.random(), np.random.rand(2)


def seeds_itself(worker: int) -> None:
    torch.manual_seed(100 + worker)
    np.random.seed(worker)


def draws_first(worker: int) -> None:
    torch.rand(1 + worker)
    random.random()


# Transforms.

sides = st.integers(8, 40)
pairs = st.tuples(sides, sides)
chances = st.sampled_from([0.0, 0.3, 0.5, 1.0])
versions = st.sampled_from([v1, v2])
filters = st.sampled_from(list(InterpolationMode))


def fixed_geometry(T: Any) -> st.SearchStrategy:
    """Steps after which every image has the same size."""
    return st.one_of(
        st.builds(
            T.RandomResizedCrop,
            sides | pairs,
            scale=st.sampled_from([(0.08, 1.0), (0.3, 0.6), (1.0, 1.0)]),
            ratio=st.sampled_from([(3 / 4, 4 / 3), (0.5, 3.0)]),
            interpolation=filters,
        ),
        st.builds(T.Resize, pairs, interpolation=filters),
        st.builds(T.CenterCrop, sides | pairs),
        st.builds(
            T.RandomCrop,
            sides | pairs,
            padding=st.sampled_from([None, 3, (2, 5), (4, 1, 9, 2)]),
            pad_if_needed=st.just(True),
            fill=st.sampled_from([0, 7]),
            padding_mode=st.sampled_from(["constant", "edge", "reflect", "symmetric"]),
        ),
    )


def flips(T: Any) -> st.SearchStrategy:
    return st.sampled_from([T.RandomHorizontalFlip, T.RandomVerticalFlip]).flatmap(
        lambda flip: st.builds(flip, chances)
    )


def geometry(T: Any) -> st.SearchStrategy:
    return st.one_of(
        fixed_geometry(T),
        flips(T),
        st.builds(T.Resize, sides, interpolation=filters, max_size=st.sampled_from([None, 41, 64])),
        st.builds(T.RandomCrop, sides | pairs),  # fails where the image is smaller
        st.builds(T.Grayscale, st.just(3)),
        st.builds(T.RandomGrayscale, chances),
    )


def conversion(T: Any) -> st.SearchStrategy:
    dtypes = st.sampled_from([torch.float32, torch.float32, torch.float16, torch.float64])
    scaled = st.tuples(st.builds(T.PILToTensor), st.builds(T.ConvertImageDtype, dtypes)).map(list)
    if T is v1:
        return st.sampled_from([[v1.ToTensor()], [v1.PILToTensor()]]) | scaled
    to_dtype = st.tuples(st.builds(v2.ToImage), st.builds(v2.ToDtype, dtypes, scale=st.booleans())).map(list)
    return st.sampled_from([[v2.ToImage()], [v2.PILToTensor()], [v2.ToImage(), v2.ToPureTensor()]]) | scaled | to_dtype


def normalize(T: Any) -> st.SearchStrategy:
    return st.sampled_from([[], [T.Normalize([0.5], [0.25])], [T.Normalize([0.48, 0.45, 0.4], [0.22, 0.2, 0.3])]])


def python_steps(T: Any) -> st.SearchStrategy:
    return st.one_of(
        st.just(noisy_pixels),
        st.just(v1.Lambda(noisy_pixels)),
        st.builds(T.RandomErasing, chances, value=st.sampled_from([0, "random"])),
        st.just(T.ColorJitter(0.4, 0.4, 0.4, 0.1)),
        st.just(T.RandomRotation(20)),
        st.just(T.RandomOrder([T.RandomHorizontalFlip(), T.RandomVerticalFlip()])),
        st.just(T.RandomApply([T.CenterCrop(12)])),
        st.just(T.GaussianBlur(3)),
    )


@st.composite
def native_transforms(draw: Any, *, random: bool = True) -> Any:
    """What the engine does in full: images of one size become tensors of one size."""
    T, later = draw(versions), draw(versions)
    if not random:
        steps = [draw(st.builds(T.Resize, pairs, interpolation=filters)), *draw(conversion(T))]
        return v1.Compose(steps)
    before = draw(st.lists(geometry(T), max_size=2))
    fixed = [draw(fixed_geometry(T)), *draw(st.lists(flips(later), max_size=1))]
    gray = draw(st.sampled_from([[], [], [], [T.Grayscale(1)]]))
    converted = draw(conversion(later))
    tensors = draw(st.sampled_from([[], [later.RandomHorizontalFlip()]]))
    is_float = isinstance(converted[-1], (v1.ToTensor, v1.ConvertImageDtype, v2.ConvertImageDtype, v2.ToDtype))
    values = draw(normalize(later)) if is_float and not gray else []
    steps = [*before, *fixed, *gray, *converted, *tensors, *values]
    return draw(st.sampled_from([v1.Compose, v2.Compose, lambda s: v1.Compose([v2.Compose(s[:2]), *s[2:]])]))(steps)


@st.composite
def any_transforms(draw: Any) -> Any:
    """Anything that a user may write, what fails included; or nothing."""
    T = draw(versions)
    image_steps = draw(st.lists(geometry(T) | geometry(T) | python_steps(T) | st.just(T.Grayscale(1)), max_size=3))
    if draw(st.booleans()):
        image_steps.append(draw(fixed_geometry(T)))
    end = draw(st.sampled_from(["tensor", "tensor", "tensor", "image"]))
    steps = list(image_steps)
    if end == "tensor":
        steps += [*draw(conversion(T)), *draw(normalize(T)), *draw(st.lists(python_steps(T) | flips(T), max_size=2))]
    if not steps:
        return None
    return draw(st.sampled_from([v1.Compose, v2.Compose]))(steps)


@st.composite
def tailed_transforms(draw: Any) -> Any:
    """What the engine does, and then something in Python."""
    head = draw(native_transforms())
    return v1.Compose([head, *draw(st.lists(python_steps(draw(versions)), min_size=1, max_size=2))])


# Data sets.


class PlainFiles(Dataset):
    """What ``fastload.ImageFiles`` promises, in the fewest words."""

    def __init__(self, samples: list, has_targets: bool, transform: Any, target_transform: Any) -> None:
        self.samples, self.has_targets = samples, has_targets
        self.transform, self.target_transform = transform, target_transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        path, target = self.samples[index]
        image = pil_loader(path)
        image = image if self.transform is None else self.transform(image)
        if not self.has_targets:
            return image
        return image, target if self.target_transform is None else self.target_transform(target)


@dataclass
class Built:
    """A data set and the leaves of its tree, whose transform a user may change."""

    dataset: Dataset
    leaves: list[Any]


@dataclass(frozen=True)
class Leaf:
    kind: str
    folder: str
    transform: Any = None
    target_transform: Any = None
    length: int = IMAGES

    def build(self, root: Path, ours: bool) -> Built:
        transforms = (self.transform, self.target_transform)
        has_targets = self.kind == "files"
        samples = ImageFolder(str(root / self.folder)).samples
        if self.kind in ("torchvision", "fastload"):
            kind = fastload.ImageFolder if ours and self.kind == "fastload" else ImageFolder
            dataset: Any = kind(str(root / self.folder), *transforms)
        elif ours:
            paths, targets = zip(*samples, strict=True)
            dataset = fastload.ImageFiles(paths, targets if has_targets else None, *transforms)
        else:
            dataset = PlainFiles(samples, has_targets, *transforms)
        return Built(dataset, [dataset])


@dataclass(frozen=True)
class Part:
    of: Any
    indices: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.indices)

    def build(self, root: Path, ours: bool) -> Built:
        inner = self.of.build(root, ours)
        return Built(Subset(inner.dataset, list(self.indices)), inner.leaves)


@dataclass(frozen=True)
class Split:
    of: Any
    first: int
    seed: int
    rejoined: bool

    @property
    def length(self) -> int:
        return self.of.length if self.rejoined else self.first

    def build(self, root: Path, ours: bool) -> Built:
        inner = self.of.build(root, ours)
        lengths = [self.first, self.of.length - self.first]
        parts = random_split(inner.dataset, lengths, torch.Generator().manual_seed(self.seed))
        return Built(ConcatDataset(parts[::-1]) if self.rejoined else parts[0], inner.leaves)


def is_subset(dataset: Any) -> bool:
    """Whether torch's ``Subset`` is what is built first of all."""
    return isinstance(dataset, Part) or (isinstance(dataset, Split) and not dataset.rejoined)


@dataclass(frozen=True)
class Joined:
    parts: tuple[Any, ...]

    @property
    def length(self) -> int:
        return sum(part.length for part in self.parts)

    def build(self, root: Path, ours: bool) -> Built:
        built = [part.build(root, ours) for part in self.parts]
        return Built(ConcatDataset([b.dataset for b in built]), [leaf for b in built for leaf in b.leaves])


def indices_of(length: int, *, wrong: bool, at_least: int = 0, at_most: int = 10) -> st.SearchStrategy[list[int]]:
    """Positions in a data set, negative ones included; now and then, where that is wanted, one too far."""
    if wrong:
        return st.lists(st.integers(-length - 2, length + 1), min_size=at_least, max_size=at_most)
    return st.lists(st.integers(-length, length - 1), min_size=at_least, max_size=at_most) if length else st.just([])


@st.composite
def data_sets(draw: Any, leaves: st.SearchStrategy, *, wrong: bool = False, depth: int = 2) -> Any:
    form = draw(st.sampled_from(["leaf", "leaf", "part", "split", "joined"])) if depth else "leaf"
    if form == "leaf":
        return draw(leaves)
    inner = data_sets(leaves, wrong=wrong, depth=depth - 1)
    if form == "joined":
        return Joined(tuple(draw(st.lists(inner, min_size=1, max_size=2))))
    of = draw(inner)
    if form == "part":
        return Part(of, tuple(draw(indices_of(of.length, wrong=wrong))))
    return Split(of, draw(st.integers(0, of.length)), draw(st.integers(0, 9)), draw(st.booleans()))


# Samplers.


class Counted:
    """A sampler that counts what is taken from it: loaders that read ahead must read ahead equally far."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        for indices in self.sampler:
            self.taken += 1
            yield indices

    def __len__(self) -> int:
        return len(self.sampler)


class GrowingBatches:
    """Batches of 1, 2, 3, ... indices, as lists, tuples or tensors."""

    def __init__(self, length: int, form: Callable[[list], Any]) -> None:
        self.length, self.form = length, form

    def __iter__(self) -> Iterator[Any]:
        for size in range(1, self.length + 1):
            batch = list(range(self.length))[size * (size - 1) // 2 :][:size]
            if batch:
                yield self.form(batch)


@dataclass(frozen=True)
class Sampling:
    """How ``sampler`` or ``batch_sampler`` are made for a data set; ``own_generator`` is a seed."""

    kind: str
    details: Any = None
    own_generator: int | None = None
    is_batch_sampler: bool = False
    counted: bool = False

    def build(self, dataset: Any) -> dict[str, Any]:
        generator = None if self.own_generator is None else torch.Generator().manual_seed(self.own_generator)
        data = torch.utils.data
        if self.kind == "none":
            return {}
        made: Any = {
            "sequential": lambda: data.SequentialSampler(dataset),
            "random": lambda: data.RandomSampler(dataset, *self.details, generator=generator),
            "weighted": lambda: data.WeightedRandomSampler(self.details, len(self.details), generator=generator),
            "subset": lambda: data.SubsetRandomSampler(self.details, generator=generator),
            "list": lambda: [list(d) if isinstance(d, tuple) else d for d in self.details],
            "growing": lambda: GrowingBatches(len(dataset), self.details),
            "batches": lambda: BatchSampler(data.RandomSampler(dataset, generator=generator), *self.details),
        }[self.kind]()
        if self.counted:
            made = Counted(made)
        return {"batch_sampler" if self.is_batch_sampler else "sampler": made}


@st.composite
def samplings(draw: Any, length: int, *, wrong: bool) -> Sampling:
    kinds = ["none", "none", "none", "sequential", "list", "growing"]
    kinds += ["random", "weighted", "batches", "subset", "lists"] if length else []
    kind = draw(st.sampled_from(kinds))
    own = draw(st.sampled_from([None, 5]))
    counted = draw(st.booleans())
    if kind == "lists":
        batch = indices_of(length, wrong=wrong, at_least=not wrong, at_most=4).map(tuple)
        details = tuple(draw(st.lists(batch, max_size=5)))
        return Sampling("list", details, is_batch_sampler=True, counted=counted)
    if kind == "growing":
        form = draw(st.sampled_from([list, tuple, torch.tensor]))
        return Sampling(kind, form, is_batch_sampler=True, counted=counted)
    if kind == "batches":
        return Sampling(kind, (draw(st.integers(1, 5)), draw(st.booleans())), own, True, counted)
    details = {
        "list": indices_of(length, wrong=wrong),
        "subset": indices_of(length, wrong=wrong),
        "weighted": st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=length, max_size=length),
        "random": st.sampled_from([(False, None), (True, None), (True, 11), (False, 13)]),
    }.get(kind, st.none())
    return Sampling(kind, draw(details), own, counted=counted and kind != "none")
