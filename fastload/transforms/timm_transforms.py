"""timm's conversions from an image to a tensor, which do what torchvision's do."""

from __future__ import annotations

import sys

import torchvision.transforms.functional as functional

from fastload.transforms.code_world import Look
from fastload.transforms.replaced_functions import reach
from fastload.transforms.static_attributes import of_class

_HOME = "timm.data.transforms"
# By class what it calls, or what reads an image's bytes as it does, and the names in its code, of the versions that are known.
_CONVERSIONS = {
    "MaybePILToTensor": (functional.pil_to_tensor, ("isinstance", "torch", "Tensor", "F", "pil_to_tensor")),
    "ToTensor": (functional.pil_to_tensor, ("F", "pil_to_tensor", "to", "dtype")),
    "ToNumpy": (functional.pil_to_tensor, ("np", "array", "uint8", "ndim", "expand_dims", "rollaxis")),
    "MaybeToTensor": (functional.to_tensor, ("isinstance", "torch", "Tensor", "F", "to_tensor")),
}
for _function, _ in _CONVERSIONS.values():
    reach(_function)  # as it is when this is imported


def conversion_of_timm(kind: type) -> list[Look] | None:
    """What the knowledge rests on that a class is one of them; None: it is not."""
    if kind.__module__ != _HOME or kind.__name__ not in _CONVERSIONS or _HOME not in sys.modules:
        return None
    function, names = _CONVERSIONS[kind.__name__]
    module, code = sys.modules[_HOME], getattr(of_class(kind, "__call__"), "__code__", None)
    if (
        code is None
        or code.co_names != names
        or vars(module).get("F") is not functional
        or reach(function).what_changed()
    ):
        return None
    return [
        (lambda: kind.__call__.__code__, code),
        (lambda: vars(module).get("F"), functional),
        (lambda: reach(function).holds(), True),
    ]
