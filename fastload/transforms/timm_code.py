"""What of timm the engine knows: the code of its transforms, by what it was in the versions that were tried.

timm is looked at where the program has imported it, and never imported from here. Its code is compared as text, so that a version
that draws otherwise, or a function that somebody put in the place of another, is not taken for the one that is known.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import random
import sys
from dataclasses import dataclass
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np

from fastload import _core
from fastload.reports import NotNative
from fastload.transforms.code_world import Look
from fastload.transforms.replaced_functions import Reach, reach


@dataclass(frozen=True)
class Known:
    """Functions of one module of timm's that a transform may call, and what their text is in the versions that are known."""

    module: str
    functions: tuple[str, ...]
    digests: tuple[str, ...]


_OPERATIONS = (
    *("shear_x", "shear_y", "translate_x_rel", "translate_y_rel", "translate_x_abs", "translate_y_abs", "rotate"),
    *(
        "auto_contrast",
        "invert",
        "equalize",
        "solarize",
        "solarize_add",
        "posterize",
        "contrast",
        "color",
        "brightness",
    ),
    *("sharpness", "gaussian_blur", "gaussian_blur_rand", "desaturate", "_interpolation", "_check_args_tf"),
    *("_randomly_negate", "_rotate_level_to_arg", "_enhance_level_to_arg", "_enhance_increasing_level_to_arg"),
    *("_minmax_level_to_arg", "_shear_level_to_arg", "_translate_abs_level_to_arg", "_translate_rel_level_to_arg"),
    *("_posterize_level_to_arg", "_posterize_increasing_level_to_arg", "_posterize_original_level_to_arg"),
    *("_solarize_level_to_arg", "_solarize_increasing_level_to_arg", "_solarize_add_level_to_arg"),
)
# Of timm 0.9.16 to 1.0.31.
AUGMENT = Known(
    "timm.data.auto_augment",
    ("RandAugment.__call__", "AutoAugment.__call__", "AugmentOp.__call__", *_OPERATIONS),
    ("5d26760c796f0da0",),
)
CROPS = Known(
    "timm.data.transforms",
    (
        *("RandomResizedCropAndInterpolation.__call__", "RandomResizedCropAndInterpolation.get_params"),
        *(
            "ResizeKeepRatio.__call__",
            "ResizeKeepRatio.get_params",
            "CenterCropOrPad.forward",
            "RandomCropOrPad.forward",
        ),
        *("RandomCropOrPad.get_params", "center_crop_or_pad", "crop_or_pad", "_setup_size"),
    ),
    ("724d3b9cdb270d3d",),
)
ERASING = Known(
    "timm.data.random_erasing",
    ("RandomErasing.__call__", "RandomErasing._erase", "_get_pixels"),
    ("98a205af7f21b2f3",),
)
_choice = np.random.choice  # as it is when this is imported


def module_of(known: Known) -> ModuleType | None:
    """Where the program has imported it."""
    return sys.modules.get(known.module)


def is_of(kind: type, known: Known, names: Any) -> bool:
    """Whether it is the class of that name in timm's module."""
    module = module_of(known)
    return module is not None and kind.__name__ in names and vars(module).get(kind.__name__) is kind


def looks_at(known: Known) -> list[Look]:
    """What the knowledge rests on that timm's code is the known one.

    Raises:
        NotNative: it is another, or was changed.
    """
    module = module_of(known)
    if module is None:
        raise NotNative("timm was unloaded")
    found = _reach_of(module, known)
    if not isinstance(found, Reach):
        raise NotNative(found)
    if changed := found.what_changed():
        raise NotNative(changed)
    if np.random.choice != _choice or _numpys_generator() is not np.random.MT19937:
        raise NotNative("numpy's generator was replaced")
    _require_draws()
    return [(found.holds, True), (lambda: np.random.choice == _choice, True), (_numpys_generator, np.random.MT19937)]


@functools.cache
def _reach_of(module: ModuleType, known: Known) -> Reach | str:
    try:
        functions = [attrgetter(name)(module) for name in known.functions]
        texts = [inspect.getsource(function) for function in functions]
    except (AttributeError, OSError, TypeError) as error:
        return f"{known.module} is not one that is known ({error})"
    if digest_of(texts) not in known.digests:
        return f"the code of {known.module} is not one that is known"
    return reach(*functions)


def digest_of(texts: list[str]) -> str:
    """Of source code, whatever its spaces and line ends."""
    return hashlib.sha256("\n".join("".join(text.split()) for text in texts).encode()).hexdigest()[:16]


def _numpys_generator() -> Any:
    """The type of what numpy's legacy functions draw from."""
    return type(getattr(getattr(np.random.mtrand, "_rand", None), "_bit_generator", None))


@functools.cache
def _draws_as_the_engine() -> bool:
    """Of Python and numpy, on many numbers: the C library that they call may be another than the engine's."""
    python, numpy = random.Random(0), np.random.RandomState(0)
    state: Any = numpy.get_state(legacy=False)
    streams = _core.Streams(_core.Mt19937(0), python=python.getstate(), numpy=state)
    for number in range(1, 200):
        drawn = python.gauss(9, 0.5), python.uniform(-1, number), python.randrange(number)
        if drawn != (
            streams.python_gauss(9, 0.5),
            streams.python_uniform(-1, number),
            streams.python_randrange(number),
        ):
            return False
        if [streams.numpy_randint(number) for _ in range(2)] != numpy.choice(number, 2).tolist():
            return False
    return True


def _require_draws() -> None:
    if not _draws_as_the_engine():
        raise NotNative("Python or numpy draws other numbers than the engine")
