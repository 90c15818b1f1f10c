"""What ``loader.explain()`` and ``loader.stats()`` say about lazy images."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torchvision.transforms as v1
import torchvision.transforms.v2 as v2

from fastload.images.figures import counted_with_me, figures
from fastload.images.open_image import are_installed
from fastload.images.pillow_class import why_pillow_is_unknown
from fastload.images.views import Views
from fastload.reports import Statistics
from fastload.transforms import name_of, own_of, read

_VIEWS_OF_PILLOWS = (
    "  views: of Pillow's own images, one after the other; call fastload.install() before the loop (or use `fastload run`), and"
    " each JPEG is decoded once, natively, for all of them"
)


def explained(dataset: Any) -> list[str]:
    """Of a data set whose samples its own code makes; where ``install()`` does not hold, only whether that would help its views."""
    if not are_installed():
        return [_VIEWS_OF_PILLOWS] if isinstance(_transform_of(dataset), Views) else []
    if why := why_pillow_is_unknown():
        return [f"  images: Pillow's own ({why})"]
    lines = [
        "  images: lazy: a JPEG that PIL.Image.open gives is decoded natively, and only the part that is asked for"
    ]
    transform = _transform_of(dataset)
    if isinstance(transform, Views):
        for number, view in enumerate(transform.transforms):
            reading = read(view.transform)
            native, tail = (", ".join(map(name_of, steps)) for steps in (reading.native, reading.tail))
            lines.append(f"  view {number}: native: {native or 'nothing'}; in Python: {tail or 'nothing'}")
    else:
        parts = {"transform": transform} if callable(transform) else _composes_in(dataset)
        if callable(transform) and not read(transform).native:
            parts = _composes_in(transform) or parts
        for name, part in parts.items():
            reading = read(part)
            names = ", ".join(name_of(step) for step in reading.native)
            if names and reading.is_tensor:
                lines.append(f"  in one native pass, where its {name} meets one: {names}")
            if reading.tail:
                rest = ", ".join(name_of(step) for step in reading.tail)
                of = "" if part is transform else f"of its {name} "
                lines.append(f"  {of}in Python: {rest} ({reading.tail_reason})")
    return lines


def _composes_in(thing: Any) -> dict[str, Any]:
    """The composes that an object of a program's own class has, one for each view say, by the names of its attributes."""
    own = {**(own_of(thing) or {})}
    modules = own.pop("_modules", None)
    own.update(modules if isinstance(modules, dict) else {})
    found: dict[str, Any] = {}
    for name, value in own.items():
        several = value if type(value) in (list, tuple) else [value]
        found.update(
            (f"{name}[{place}]" if several is value else name, one)
            for place, one in enumerate(several[:20])
            if isinstance(one, (v1.Compose, v2.Compose)) and not any(one is other for other in found.values())
        )
    return found


def _transform_of(dataset: Any) -> Any:
    """A data set's ``transform``; else the one Compose or Views that it has under another name, or that what it wraps has; else
    None."""
    own = getattr(dataset, "__dict__", {})
    if callable(own.get("transform")):
        return own["transform"]
    known = [value for value in own.values() if isinstance(value, (Views, v1.Compose, v2.Compose))]
    if len(known) == 1:
        return known[0]
    return _transform_of(own["dataset"]) if "dataset" in own and not known else None


def expected_gain(dataset: Any) -> str:
    """How many times as fast as with Pillow's images, as far as it can be told from what the data set has."""
    transform = _transform_of(dataset)
    if isinstance(transform, Views):
        return "about 2.8 times"
    if callable(transform):
        reading = read(transform)
        if reading.size is not None and reading.is_tensor and not reading.tail:
            return "about 2.5 times"
    return "1.3 (whole images) to 2.5 times (cropped and resized)"


def lazy_figures(statistics: Statistics) -> dict[str, dict[str, int]]:
    """The part ``lazy`` of ``stats()``, where ``install()`` holds: of :func:`fastload.images.figures.figures` what was added since
    the epoch began."""
    return {"lazy": statistics.since_it_began("lazy", figures())} if are_installed() else {}


def counted_here() -> AbstractContextManager[None]:
    """Workers that are started inside count into these figures, also those that are not forked."""
    return counted_with_me() if are_installed() else nullcontext()
