"""torchvision's composes, and ``to_tensor``, know lazy images while ``install()`` holds; on others they do what they always did."""

from __future__ import annotations

import functools
import sys
from typing import Any

from fastload.images.pillow_class import is_noticed, tell

# Where the classes are, and the method that runs the steps; and a function.
PLACES: dict[str, tuple[str | None, str]] = {
    "torchvision.transforms.functional": (None, "to_tensor"),
    "torchvision.transforms.transforms": ("Compose", "__call__"),
    "torchvision.transforms.v2._container": ("Compose", "forward"),
    "torchvision.transforms._presets": ("ImageClassification", "forward"),
}
_put: dict[str, tuple[Any, Any]] = {}  # module -> what lay there, what lies there now


def put(module: str) -> None:
    """In one of these modules, which has been imported."""
    owner, name = _place(module)
    plain = vars(owner).get(name)
    if module in _put or plain is None:
        return
    ours = _knowing(plain) if isinstance(owner, type) else _giving_tensors(plain)
    setattr(owner, name, ours)
    _put[module] = plain, ours
    tell(plain, ours)


def _place(module: str) -> tuple[Any, str]:
    kind_name, name = PLACES[module]
    there = sys.modules[module]
    return (there if kind_name is None else getattr(there, kind_name)), name


def take_away() -> None:
    """From all of them; what others have put over ours stays."""
    for module, (plain, ours) in list(_put.items()):
        owner, name = _place(module)
        if vars(owner).get(name) is ours:
            setattr(owner, name, plain)
            tell(ours, plain)
            del _put[module]


@functools.cache
def _transformed() -> Any:
    from fastload.images.native_transforms import transformed  # needs torchvision, which is there by then

    return transformed


@functools.cache
def _tensor_of() -> Any:
    from fastload.images.native_transforms import tensor_of

    return tensor_of


def _giving_tensors(plain: Any) -> Any:
    @functools.wraps(plain)
    def to_tensor(pic: Any) -> Any:
        return _tensor_of()(pic, plain) if is_noticed(pic) else plain(pic)

    return to_tensor


def _knowing(plain: Any) -> Any:
    transformed: Any = None

    @functools.wraps(plain)
    def run(self: Any, *inputs: Any, **options: Any) -> Any:
        nonlocal transformed
        if len(inputs) == 1 and not options and is_noticed(inputs[0]):
            transformed = transformed or _transformed()
            return transformed(self, inputs[0], plain, self)
        return plain(self, *inputs, **options)

    return run
