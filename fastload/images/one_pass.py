"""A native transform on a lazy image, in one pass of the engine: the window is decoded, and the finished tensor written at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import PIL.Image
import torch

from fastload import _core
from fastload.engine import drawing, finished_tensor, from_torch, places_here, undone
from fastload.images.figures import TENSORS, count
from fastload.images.pillow_class import plan_of
from fastload.images.plan import Plan, no_draws, reader
from fastload.transforms import Reading, read, why_modes_not_native

declined = object()  # in the place of a tensor: nothing was drawn, and the transform is to run as it is


class OnePass:
    """Of one transform. Read anew whenever something that it rests on has changed.

    Attributes:
        reading: of the transform, and the form of a sample, when it was last asked.
    """

    def __init__(self, transform: Any) -> None:
        self.transform = transform
        self._read()

    def _read(self) -> None:
        reading = read(self.transform)
        pixelwise = reading.pixelwise
        self.reading = reading
        self._watch = reading.watch
        self.form = pixelwise.target("hwc" if pixelwise.interleaved else "chw")
        self._is_native = bool(reading.native) and reading.is_tensor
        # As it is: torch's own class, in its own order, of an element that NumPy has, and not of one pixel, whose strides are odd.
        self._is_plain = (
            pixelwise.kind is torch.Tensor
            and not pixelwise.interleaved
            and pixelwise.table.dtype != torch.bfloat16
            and reading.size is not None
            and reading.size != (1, 1)
        )

    def _is_current(self) -> bool:
        """Whether it is native, as it is now."""
        if not self._watch.holds():
            if why_modes_not_native():
                return False  # and nothing is run under somebody's mode to find out more
            self._read()
        return self._is_native

    def is_all(self) -> bool:
        """Whether it is native to the end, as it is now."""
        return self._is_current() and not self.reading.tail

    def made_of(self, image: PIL.Image.Image) -> Any:
        """``transform(image)``, or :data:`declined`."""
        if not self._is_current():
            return declined
        plan = plan_of(image)
        if plan is None or plan.mode != "RGB" or "transparency" in image.info:
            return declined
        reading = self.reading
        array = _values(plan, reading, self.form)
        if array is None:
            return declined
        count(TENSORS)
        sample: Any = torch.from_numpy(array) if self._is_plain else finished_tensor(array, reading.pixelwise)
        if reading.tail:
            for step in reading.steps_after(self.transform):
                sample = step(sample)
        return sample


def made_by_each(passes: Sequence[OnePass], image: PIL.Image.Image) -> list[Any] | None:
    """What each makes of an image, whose pixels are decoded once; all of them have just said that they do it all.

    None: that cannot be, and nothing was drawn.
    """
    plan = plan_of(image)
    if plan is None or plan.mode != "RGB" or "transparency" in image.info:
        return None
    arrays = _values_of_each(plan, [(one.reading, one.form) for one in passes])
    if arrays is None:
        return None
    count(TENSORS, len(arrays))
    return [finished_tensor(array, one.reading.pixelwise) for array, one in zip(arrays, passes, strict=True)]


def _values_of_each(plan: Plan, each: list[tuple[Reading, _core.Target]]) -> list[Any] | None:
    """None: the engine cannot make them, and nothing was drawn."""
    recipes, forms = [reading.recipe for reading, _ in each], [form for _, form in each]
    with drawing(*recipes) as drawn:
        plans = plan.source.jpeg.draw_each(plan.steps, recipes, drawn.native)
        if plans is None:
            return None
        drawn.keep(drawn.native)
    arrays = None
    try:
        arrays = plan.source.used().values_of_each(reader(), plans, forms, places_here())
    finally:
        if arrays is None:
            drawn.undo()
    return arrays


def _values(plan: Plan, reading: Reading, form: _core.Target) -> Any:
    """None: the engine cannot make it, and nothing was drawn."""
    jpeg, recipe = plan.source.jpeg, reading.recipe
    drawn_plan: _core.Plan | None
    if not recipe.draws:
        drawn_plan = jpeg.draw(plan.steps, recipe, no_draws)
        return None if drawn_plan is None else plan.source.used().values(reader(), drawn_plan, form, places_here())
    undo: Callable[[], None]
    if recipe.draws_python or recipe.draws_numpy:
        with drawing(recipe) as drawn:
            drawn_plan = jpeg.draw(plan.steps, recipe, drawn.native)
            if drawn_plan is None:
                return None
            drawn.keep(drawn.native)
        undo = drawn.undo
    else:
        made = from_torch(jpeg.draw_from, plan.steps, recipe)
        if made is None:
            return None
        drawn_plan, draw = made
        undo = undone(draw)
    array = None
    try:
        array = plan.source.used().values(reader(), drawn_plan, form, places_here())
    finally:
        if array is None:
            undo()
    return array
