"""torchvision's composes know lazy images, while ``install()`` holds; on any other image they do what they always did."""

from __future__ import annotations

import functools
import sys
from typing import Any

from fastload.images.pillow_class import is_noticed, tell

# Where the classes are, and the method that runs the steps.
PLACES = {
    "torchvision.transforms.transforms": ("Compose", "__call__"),
    "torchvision.transforms.v2._container": ("Compose", "forward"),
    "torchvision.transforms._presets": ("ImageClassification", "forward"),
}
_put: dict[str, tuple[Any, Any]] = {}  # module -> what lay there, what lies there now


def put(module: str) -> None:
    """In one of these modules, which has been imported."""
    kind_name, name = PLACES[module]
    kind = getattr(sys.modules[module], kind_name)
    plain = vars(kind).get(name)
    if module in _put or plain is None:
        return
    ours = _knowing(plain)
    setattr(kind, name, ours)
    _put[module] = plain, ours
    tell(plain, ours)


def take_away() -> None:
    """From all of them; what others have put over ours stays."""
    for module, (plain, ours) in list(_put.items()):
        kind_name, name = PLACES[module]
        kind = getattr(sys.modules[module], kind_name)
        if vars(kind).get(name) is ours:
            setattr(kind, name, plain)
            tell(ours, plain)
            del _put[module]


@functools.cache
def _transformed() -> Any:
    from fastload.images.native_transforms import transformed  # needs torchvision, which is there by then

    return transformed


def _knowing(plain: Any) -> Any:
    @functools.wraps(plain)
    def run(self: Any, *inputs: Any, **options: Any) -> Any:
        if len(inputs) == 1 and not options and is_noticed(inputs[0]):
            return _transformed()(self, inputs[0], functools.partial(plain, self))
        return plain(self, *inputs, **options)

    return run
