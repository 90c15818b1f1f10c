"""A collate_fn of a program that is default_collate, and then torchvision's MixUp or CutMix -> what the engine does in its place.

Told from its code, which is not run. What is drawn for a batch comes from the generator that the batch's samples were drawn from.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2 as v2
from torch.utils.data import default_collate

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms import argument_forms
from fastload.transforms.change_watch import Watch
from fastload.transforms.code_world import Look, NotCertain, World, function_of
from fastload.transforms.known_classes import keep_originals, kept_originals, why_altered
from fastload.transforms.read_code import run

keep_originals([v2.MixUp, v2.CutMix, v2.RandomChoice])
Draws = Callable[[torch.Generator, int, int], "Drawn"]  # of images of so many rows and columns
_DEEPEST = 8  # that choices lie in one another


@dataclass(frozen=True)
class Drawn:
    """What is done to a batch.

    Attributes:
        which: of the transforms.
        share: of each sample's own target.
        shares: of its own values, and of those of the sample before it; None: a box is taken from that one.
        box: left, top, right, bottom.
    """

    which: int
    share: float
    shares: tuple[float, float] | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Collating:
    """What a collate_fn does.

    Attributes:
        unpacks: whether it takes batches of images and targets, and no others.
        gives: what holds these at the end.
        mixing: torchvision's transform of a batch; None: there is none.
        looks: what this was read from.
    """

    unpacks: bool
    gives: type
    mixing: Any
    looks: tuple[Look, ...]


class Mixing:
    """A MixUp, a CutMix or a choice of such.

    Args:
        transform: of torchvision's.

    Raises:
        NotNative: it does something else.
    """

    def __init__(self, transform: Any) -> None:
        argument_forms.require_float32()
        self._leaves: list[Any] = []
        self._draw = self._read(transform, 0)
        self.name = type(transform).__name__
        self.mixes_values = any(isinstance(leaf, v2.MixUp) for leaf in self._leaves)
        watch = Watch([transform], kinds=kept_originals())
        self.looks: list[Look] = [(watch.holds, True)]

    def _read(self, transform: Any, depth: int) -> Draws:
        if altered := why_altered(transform):
            raise NotNative(altered)
        kind = type(transform)
        if kind is v2.RandomChoice and depth < _DEEPEST:
            inner = [self._read(one, depth + 1) for one in transform.transforms]
            if (
                type(transform.p) is not list
                or len(transform.p) != len(inner)
                or any(type(p) is not float for p in transform.p)
            ):
                raise NotNative(f"p={transform.p!r}")
            shares = torch.tensor(transform.p, dtype=torch.float32, device="cpu")
            return lambda generator, height, width: inner[int(torch.multinomial(shares, 1, generator=generator))](
                generator, height, width
            )
        if kind not in (v2.MixUp, v2.CutMix):
            raise NotNative(f"{kind.__name__} is no mixing of batches")
        if type(transform.num_classes) is not int or transform._labels_getter is not _finds_labels():
            raise NotNative("its targets are no plain numbers")
        which, alphas = len(self._leaves), _alphas_of(transform)
        self._leaves.append(copy.copy(transform))  # later changes count from the next reading, as in a worker's copy
        if kind is v2.MixUp:
            return lambda generator, height, width: _mix_up(generator, alphas, which)
        return lambda generator, height, width: _cut_mix(generator, alphas, which, height, width)

    def of_size(self, size: tuple[int, int]) -> Callable[[_core.Mt19937], Any]:
        """What the engine calls, on any thread, for each batch of images of that height and width."""

        def draw(generator: _core.Mt19937) -> Any:
            torchs = torch.Generator("cpu")
            state = torchs.get_state()
            generator.export_torch(state.numpy())
            torchs.set_state(state)
            drawn = self._draw(torchs, *size)
            after = _core.Mt19937.from_torch(torchs.get_state().numpy())
            return drawn.which, drawn.share, drawn.shares, drawn.box, after

        return draw

    def targets(self, drawn: tuple[int, float], targets: torch.Tensor) -> torch.Tensor:
        """As the transform that was drawn mixes them.

        Not by torch: in this process it would do so in several threads, which wait for each other longer than they work.
        """
        which, share = drawn
        leaf, classes = self._leaves[which], targets.numpy()
        if targets.dtype != torch.int64 or not 0 <= classes.min() <= classes.max() < leaf.num_classes:
            refused: torch.Tensor = leaf._mixup_label(targets, lam=share)
            return refused
        mixed, rows = np.zeros((len(classes), leaf.num_classes), np.float32), np.arange(len(classes))
        mixed[rows, np.roll(classes, 1)] = np.float32(1.0 - share)
        mixed[rows, classes] += np.float32(share)
        return torch.from_numpy(mixed)


def read_collate(collate_fn: Any) -> Collating | None:
    """What it does, where its code says so for certain; None: something else, or who knows."""
    world = _OfBatches()
    try:
        function, args, kwargs = function_of(collate_fn, world.saw)
        given = run(function, [*args, world.samples], kwargs, world)
    except NotCertain:
        return None
    batch = world.batch
    if batch is None:
        return None
    if type(given) in (tuple, list) and len(given) == 2 and given[0] is batch.images and given[1] is batch.targets:
        return Collating(True, type(given), world.mixing, tuple(world.looks))
    if given is not batch:
        return None
    return Collating(world.unpacks, batch.kind, world.mixing, tuple(world.looks))


class _Batch:
    """Images and targets in a list or a tuple."""

    def __init__(self, kind: type) -> None:
        self.kind, self.images, self.targets = kind, object(), object()


class _OfBatches(World):
    """Calls are known that make the newest batch of the samples, or of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.samples = object()
        self.batch: _Batch | None = None
        self.mixing: Any = None
        self.unpacks = False

    def unpacked(self, value: Any) -> list[Any]:
        if value is not self.batch or self.batch is None:
            raise NotCertain("what is taken apart")
        self.unpacks = True
        return [self.batch.images, self.batch.targets]

    def call(self, function: Any, args: list[Any], kwargs: dict[str, Any], depth: int) -> Any:
        batch = self.batch
        if kwargs:
            raise NotCertain("a call with names")
        if batch is None:
            if function is not default_collate or len(args) != 1 or args[0] is not self.samples:
                raise NotCertain("a call")
            self.batch = _Batch(list)
            return self.batch
        if self.mixing is not None or type(function) not in (v2.MixUp, v2.CutMix, v2.RandomChoice):
            raise NotCertain("a call")
        if len(args) == 2 and args[0] is batch.images and args[1] is batch.targets:
            kind: type = tuple
        elif len(args) == 1 and args[0] is batch:
            kind = batch.kind
        else:
            raise NotCertain("what is mixed")
        self.mixing, self.unpacks, self.batch = function, True, _Batch(kind)
        return self.batch


@functools.cache
def _finds_labels() -> Any:
    """What a transform has for labels_getter="default"."""
    return v2.MixUp(num_classes=2)._labels_getter


def _alphas_of(transform: Any) -> torch.Tensor:
    """The parameters of its Beta distribution, as torch draws from it."""
    distribution = transform._dist
    if (
        type(distribution) is not torch.distributions.Beta
        or type(distribution._dirichlet) is not torch.distributions.Dirichlet
    ):
        raise NotNative("it draws from another distribution")
    alphas = distribution._dirichlet.concentration
    if type(alphas) is not torch.Tensor or alphas.dtype != torch.float32 or alphas.shape != (1, 2) or not alphas.is_cpu:
        raise NotNative("it draws from a distribution of another shape")
    return alphas.detach().clone()


def _share(generator: torch.Generator, alphas: torch.Tensor) -> float:
    """``float(Beta.sample(()))``."""
    return float(torch._sample_dirichlet(alphas, generator=generator)[0, 0])


def _mix_up(generator: torch.Generator, alphas: torch.Tensor, which: int) -> Drawn:
    share = _share(generator, alphas)
    return Drawn(which, share, shares=(share, 1.0 - share))


def _cut_mix(generator: torch.Generator, alphas: torch.Tensor, which: int, height: int, width: int) -> Drawn:
    share = _share(generator, alphas)
    x = int(torch.randint(width, size=(1,), generator=generator, device="cpu"))
    y = int(torch.randint(height, size=(1,), generator=generator, device="cpu"))
    r = 0.5 * math.sqrt(1.0 - share)
    half_width, half_height = int(r * width), int(r * height)
    left, right = max(x - half_width, 0), min(x + half_width, width)
    top, bottom = max(y - half_height, 0), min(y + half_height, height)
    return Drawn(which, float(1.0 - (right - left) * (bottom - top) / (width * height)), box=(left, top, right, bottom))
