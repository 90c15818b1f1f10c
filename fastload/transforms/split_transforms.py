"""torchvision transforms -> what the engine does natively, and what is left to Python.

A transform counts only if its type is exactly torchvision's and no hook hangs on it. The native part is the longest run from the
start; whatever follows runs in Python on the object that torchvision would have handed it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import PIL.Image

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms.change_watch import Watch
from fastload.transforms.handed_on import Trail
from fastload.transforms.known_classes import kept_originals
from fastload.transforms.nested_transforms import flatten
from fastload.transforms.pixel_values import Pixelwise, Transform
from fastload.transforms.static_attributes import named
from fastload.transforms.transform_to_recipe import RecipeBuilder


@dataclass
class Reading:
    """How a transform was read.

    Attributes:
        recipe: geometry and grayscale, in the engine's form.
        pixelwise: what the conversion does; ``kind`` is PIL.Image.Image while the sample is still an image.
        size: (height, width) of every sample where the transforms fix it, else None.
        native: the transforms that the engine does, in order.
        tail: the rest, run in Python.
        tail_reason: why the first of the tail is not native; empty without a tail.
        watch: what all of this rests on.
        trail: the callables of the program that were read on the way.
    """

    watch: Watch
    recipe: _core.Recipe
    pixelwise: Pixelwise
    size: tuple[int, int] | None
    native: list[Transform] = field(default_factory=list)
    tail: list[Transform] = field(default_factory=list)
    tail_reason: str = ""
    trail: Trail = field(default_factory=Trail)

    @property
    def is_tensor(self) -> bool:
        """Whether the native part ends in a tensor."""
        return self.pixelwise.kind is not PIL.Image.Image

    def steps_after(self, transform: Transform) -> Iterator[Transform]:
        """The tail, from the transform that was read: as in stock's loop over it, a step may change those that come after it."""
        return itertools.islice(flatten(transform, self.trail), len(self.native), None)


def read(transform: Transform | None) -> Reading:
    """Reads a torchvision transform. Never fails: what is not understood is the tail."""
    trail = Trail()
    builder = RecipeBuilder(trail)
    flat = list(flatten(transform, trail)) if transform is not None else []
    tail_reason = ""
    taken = 0
    for step in flat:
        try:
            builder.take(step)
        except NotNative as reason:
            tail_reason = f"{name_of(step)}: {reason}"
            break
        except Exception as error:  # an argument of a form that torchvision does not take either, or does not check
            tail_reason = f"{name_of(step)}: an argument is not understood ({error})"
            break
        taken += 1
    apart = [*flat[taken:], *trail.callables]
    watch = Watch([transform, *trail.inner], apart=apart, kinds=kept_originals(), looks=[*trail.looks, *builder.looks])
    recipe, native, tail = builder.recipe(), flat[:taken], flat[taken:]
    return Reading(watch, recipe, builder.finished(), builder.size, native, tail, tail_reason, trail)


def name_of(transform: Transform) -> str:
    """The transform's name, or its type's."""
    return named(transform)
