"""Which features of a record are the image, the label, the name and the class: as asked for, or as the writers in use name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGE = "image/encoded"
TARGET = "image/class/label"
# Of TFDS and others, where the names above are missing.
_OTHER_IMAGES = ("image", "image_raw", "jpg")
_OTHER_TARGETS = ("label",)
_NAMES = ("image/filename", "file_name")
_CLASS_NAMES = ("image/class/synset", "image/class/text")
# What our writer says beside TensorFlow's features: the label of class 0, and in a file's first record the names of all classes.
LABEL_BASE = "image/class/label_base"
CLASSES = "fastload/classes"

Example = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Features:
    """What is read of each record: names of features, None where there is none; and what the first record says of all.

    Attributes:
        label_base: the label of class 0, where the file says so.
        classes: names of 0, 1, …, where the file says so.
        is_imagenet: whether it has the features of TensorFlow's own scripts, which count classes from 1.
    """

    image: str
    target: str | None
    name: str | None
    class_name: str | None
    label_base: int | None = None
    classes: list[str] | None = None
    is_imagenet: bool = False

    def named(self) -> dict[str, str | None]:
        """For an index's facts."""
        return {"image": self.image, "target": self.target, "name": self.name, "class": self.class_name}


def chosen_features(example: Example, image: str, target: str | None) -> Features:
    """From the first record of all. ValueError where a feature that was asked for is not in it."""
    if image not in example and image == IMAGE:
        image = next((name for name in _OTHER_IMAGES if _is_bytes(example.get(name))), image)
    if target is not None and target not in example:
        others = [name for name in _OTHER_TARGETS if name in example]
        if target == TARGET:
            target = others[0] if others else None
        elif example:
            raise ValueError(f"the first record has no feature {target!r} for the target; it has {', '.join(example)}")
    taken = (image, target)
    base = example.get(LABEL_BASE)
    classes = example.get(CLASSES)
    class_name = next((name for name in _CLASS_NAMES if _is_bytes(example.get(name)) and name not in taken), None)
    return Features(
        image,
        target,
        next((name for name in _NAMES if _is_bytes(example.get(name)) and name not in taken), None),
        class_name,
        int(base[0]) if base and target == TARGET else None,
        [name.decode("utf-8", "surrogateescape") for name in classes] if classes and target == TARGET else None,
        target == TARGET and class_name is not None,
    )


def _is_bytes(values: list[Any] | None) -> bool:
    return bool(values) and len(values or ()) == 1 and isinstance((values or [None])[0], bytes)
