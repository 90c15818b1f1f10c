"""timm's transforms of images -> the engine's form of each."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from fastload import _core
from fastload.machine import pillow_blurs_as_the_engine
from fastload.reports import NotNative
from fastload.transforms import argument_forms
from fastload.transforms.colour_steps import require_pillow
from fastload.transforms.geometry_steps import require_warps
from fastload.transforms.known_classes import keep_originals, why_altered
from fastload.transforms.timm_code import AUGMENT, CROPS, ERASING, Known, is_of, looks_at, module_of
from fastload.transforms.timm_erasing import timm_erasing

RecipeBuilder = Any  # of transform_to_recipe.py, which imports this file

Step = Callable[["RecipeBuilder", Any], None]
_MOST = 1e6  # of a magnitude
_MOST_RADIUS = 100
_FILTERS: dict[int, _core.Filter] = {
    PIL.Image.Resampling.NEAREST: _core.Filter.nearest,
    PIL.Image.Resampling.BILINEAR: _core.Filter.bilinear,
    PIL.Image.Resampling.BICUBIC: _core.Filter.bicubic,
}


def step_of_timm(kind: type) -> Step | None:
    """What takes a transform of this class of timm's; None: it is none that is known."""
    for known, steps in ((CROPS, _CROPS), (AUGMENT, _POLICIES), (ERASING, _ERASINGS)):
        if is_of(kind, known, steps):
            _keep(known)
            return functools.partial(_take, known, steps[kind.__name__])
    return None


def _keep(known: Known) -> None:
    module = vars(module_of(known)) if module_of(known) else {}
    names = {name.partition(".")[0] for name in known.functions if "." in name}
    keep_originals(module[name] for name in names if isinstance(module.get(name), type))


def _take(known: Known, step: Step, builder: RecipeBuilder, t: Any) -> None:
    looks = looks_at(known)
    if known is ERASING and not builder.values:
        raise NotNative("it erases in tensors, and this is an image")
    if known is not ERASING and builder.values:
        raise NotNative("after the conversion to a tensor it is computed differently")
    step(builder, t)
    builder.looks += looks


def _append(builder: RecipeBuilder, made: _core.Transform, size: tuple[int, int] | None) -> None:
    builder.geometry.append(made)
    builder.size = size


# Crops and sizes


def _crop_and_resize(builder: RecipeBuilder, t: Any) -> None:
    made = _core.Transform(_core.Kind.timm_crop_and_resize)
    made.height, made.width = argument_forms.height_width(t.size)
    _set_filters(made, t.interpolation)
    made.draws_python = True
    made.set_scale(_two(t.scale, "scale", least=0))
    ratio = _two(t.ratio, "ratio", least=1e-6)
    made.set_ratio(ratio)
    made.set_log_ratio_in_double((math.log(t.ratio[0]), math.log(t.ratio[1])))
    _append(builder, made, (made.height, made.width))


def _resize_keep_ratio(builder: RecipeBuilder, t: Any) -> None:
    made = _core.Transform(_core.Kind.timm_resize_keep_ratio)
    made.height, made.width = argument_forms.height_width(t.size)
    _set_filters(made, t.interpolation)
    made.longest = _number(t.longest, "longest", 0, 1)
    made.p = _number(t.random_scale_prob, "random_scale_prob")
    made.aspect_p = _number(t.random_aspect_prob, "random_aspect_prob")
    made.by_area = bool(t.random_scale_area)
    if made.p > 0:
        made.set_scale(_two(t.random_scale_range, "random_scale_range", least=1e-6))
    if made.aspect_p > 0:
        low, high = _two(t.random_aspect_range, "random_aspect_range", least=1e-6)
        made.set_log_ratio_in_double((math.log(low), math.log(high)))
    made.draws_python = made.p > 0 or made.aspect_p > 0 or made.draws_filter
    _append(builder, made, None)


def _center_crop_or_pad(builder: RecipeBuilder, t: Any) -> None:
    _crop_or_pad(builder, t, _core.Transform(_core.Kind.center_crop))


def _random_crop_or_pad(builder: RecipeBuilder, t: Any) -> None:
    made = _core.Transform(_core.Kind.timm_crop_or_pad)
    made.draws_python = True
    _crop_or_pad(builder, t, made)


def _crop_or_pad(builder: RecipeBuilder, t: Any, made: _core.Transform) -> None:
    made.height, made.width = argument_forms.height_width(t.size)
    made.pad_mode = argument_forms.pad_mode(t.padding_mode)
    made.set_fill(argument_forms.fill_of(t, is_v2=False, channels=1 if builder.gray else 3))
    _append(builder, made, (made.height, made.width))


def _set_filters(made: _core.Transform, interpolation: Any) -> None:
    draws = type(interpolation) in (tuple, list)
    modes = list(interpolation) if draws else [interpolation]
    if not modes:
        raise NotNative(f"interpolation={interpolation!r}")
    made.filters = [argument_forms.resize_filter(mode, is_v2=False) for mode in modes]
    made.draws_filter = draws


def _erase(builder: RecipeBuilder, t: Any) -> None:
    _append(builder, timm_erasing(t, builder.pixelwise, builder.erased, is_gray=builder.gray), builder.size)


# Policies


def _rand_augment(builder: RecipeBuilder, t: Any) -> None:
    layers = t.num_layers
    if type(layers) is not int or layers < 0:
        raise NotNative(f"num_layers={layers!r}")
    choices = [[_operation(op)] for op in _operations(t.ops)]
    p: list[float] = []
    if t.choice_weights is not None:
        p = np.asarray(t.choice_weights, np.float64).tolist()
        try:
            np.random.RandomState(0).choice(len(choices), layers, replace=False, p=p)
        except ValueError as error:
            raise NotNative(f"choice_weights={t.choice_weights!r}: {error}") from error
    made = _policy(builder, _core.AugmentPolicy(choices, layers=layers, p=p), layers)
    made.draws_numpy = True
    _append(builder, made, builder.size)


def _auto_augment(builder: RecipeBuilder, t: Any) -> None:
    choices = [[_operation(op) for op in _operations(policy)] for policy in _operations(t.policy)]
    made = _policy(builder, _core.AugmentPolicy(choices, is_auto=True), max(map(len, choices)))
    _append(builder, made, builder.size)


def _policy(builder: RecipeBuilder, policy: _core.AugmentPolicy, most: int) -> _core.Transform:
    if builder.gray:
        raise NotNative("of a gray image")
    made = _core.Transform(_core.Kind.timm_augment)
    made.set_augments(policy)
    made.draws_python = True
    made.count = 2 * most  # an operation is two steps at most
    return made


def _operations(ops: Any) -> list[Any]:
    if type(ops) not in (list, tuple) or not ops:
        raise NotNative(f"operations={ops!r:.50}")
    return list(ops)


def _operation(op: Any) -> _core.Augment:
    """One AugmentOp."""
    if not is_of(type(op), AUGMENT, ("AugmentOp",)):
        raise NotNative(f"{type(op).__name__} in it is no AugmentOp")
    if altered := why_altered(op):
        raise NotNative(altered)
    functions = vars(module_of(AUGMENT))
    name = next((name for name in _KINDS if op.aug_fn is functions[name]), None)
    if name is None:
        raise NotNative(f"{getattr(op.aug_fn, '__name__', op.aug_fn)} in it")
    made = _core.Augment(_KINDS[name])
    level = _level_of(op.level_fn, functions)
    if level not in _LEVELS.get(name, (None,)):
        raise NotNative(f"{name} in it with {level}")
    made.is_increasing, made.is_original = "increasing" in (level or ""), "original" in (level or "")
    made.p = _number(op.prob, "prob")
    made.magnitude = _number(op.magnitude, "magnitude", most=_MOST)
    made.std = _number(op.magnitude_std, "magnitude_std", most=math.inf)
    made.most_magnitude = _number(op.magnitude_max or 10.0, "magnitude_max", most=_MOST)
    if name in _ENHANCED:
        require_pillow(_ENHANCED[name])
    if name == "posterize":
        made.least_bits = 1 if _refuses_no_bits() else -(2**31)
    if name in _MOVING:
        _set_warp(made, op.kwargs)
    if "abs" in name:
        made.reach = _number(float(op.hparams["translate_const"]), "translate_const", -_MOST, _MOST)
    elif "rel" in name:
        made.reach = _number(op.hparams.get("translate_pct", 0.45), "translate_pct", -_MOST, _MOST)
    elif name in _BY_LIMITS:
        limits = {"min_val": 0.0, "max_val": 1.0, **getattr(op.level_fn, "keywords", {})}
        made.least, made.most = (_number(limits.pop(end), end) for end in ("min_val", "max_val"))
        if "blur" in name and not (made.most <= _MOST_RADIUS and pillow_blurs_as_the_engine()):
            raise NotNative("this build of Pillow blurs otherwise, or the radius is large")
        if limits:
            raise NotNative(f"{[*limits]} of its strength")
    return made


def _level_of(level_fn: Any, functions: dict[str, Any]) -> str | None:
    """The name of the function that makes an operation's argument of its strength."""
    if level_fn is None:
        return None
    if type(level_fn) is functools.partial and not level_fn.args:
        level_fn = level_fn.func
    for name in {level for levels in _LEVELS.values() for level in levels}:
        if level_fn is functions[name]:
            return name
    raise NotNative(f"a strength by {level_fn!r:.80}")


@functools.cache
def _refuses_no_bits() -> bool:
    """Whether this Pillow posterizes to one bit at least, as from version 13 on; a strength of 10 leaves timm none."""
    try:
        PIL.ImageOps.posterize(PIL.Image.new("RGB", (1, 1)), 0)
    except ValueError:
        return True
    return False


def _set_warp(made: _core.Augment, kwargs: Any) -> None:
    if type(kwargs) is not dict or set(kwargs) != {"fillcolor", "resample"}:
        raise NotNative(f"arguments {kwargs!r:.80}")
    fill, resample = kwargs["fillcolor"], kwargs["resample"]
    if type(fill) is not tuple or len(fill) != 3 or not all(type(one) is int and 0 <= one <= 255 for one in fill):
        raise NotNative(f"img_mean={fill!r}")
    draws = type(resample) in (tuple, list)
    given = list(resample) if draws else [resample]
    filters = [_FILTERS[one] for one in given if isinstance(one, int) and one in _FILTERS]
    if not filters or len(filters) != len(given):
        raise NotNative(f"interpolation={resample!r}")
    for filter in filters:
        require_warps(filter)
    made.set_filters(filters, draws)
    made.set_fill(list(fill))


def _number(value: Any, name: str, least: float = 0, most: float = _MOST) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise NotNative(f"{name}={value!r}")
    return float(value)


def _two(value: Any, name: str, least: float) -> tuple[float, float]:
    if type(value) not in (list, tuple) or len(value) != 2:
        raise NotNative(f"{name}={value!r}")
    return _number(value[0], name, least), _number(value[1], name, least)


_BY_LIMITS = ("desaturate", "gaussian_blur", "gaussian_blur_rand")
_KINDS = {
    "auto_contrast": _core.AugmentKind.autocontrast,
    "translate_x_abs": _core.AugmentKind.translate_x,
    "translate_y_abs": _core.AugmentKind.translate_y,
    **{
        name: getattr(_core.AugmentKind, name)
        for name in (
            *("invert", "equalize", "solarize", "solarize_add", "posterize", "contrast", "color", "brightness"),
            *(
                "gaussian_blur",
                "gaussian_blur_rand",
                "sharpness",
                "desaturate",
                "rotate",
                "shear_x",
                "shear_y",
                "translate_x_rel",
                "translate_y_rel",
            ),
        )
    },
}
# The functions that make an operation's argument of its strength, where it has one.
_LEVELS: dict[str, tuple[str, ...]] = {
    "rotate": ("_rotate_level_to_arg",),
    "posterize": tuple(f"_posterize_{form}level_to_arg" for form in ("", "increasing_", "original_")),
    "solarize": ("_solarize_level_to_arg", "_solarize_increasing_level_to_arg"),
    "solarize_add": ("_solarize_add_level_to_arg",),
    **dict.fromkeys(
        ("contrast", "color", "brightness", "sharpness"), ("_enhance_level_to_arg", "_enhance_increasing_level_to_arg")
    ),
    **dict.fromkeys(("shear_x", "shear_y"), ("_shear_level_to_arg",)),
    **dict.fromkeys(("translate_x_abs", "translate_y_abs"), ("_translate_abs_level_to_arg",)),
    **dict.fromkeys(("translate_x_rel", "translate_y_rel"), ("_translate_rel_level_to_arg",)),
    **dict.fromkeys(_BY_LIMITS, ("_minmax_level_to_arg",)),
}
_ENHANCED = {
    **{name: name for name in ("contrast", "brightness", "sharpness")},
    **dict.fromkeys(("color", "desaturate"), "saturation"),
}
_MOVING = ("rotate", "shear_x", "shear_y", "translate_x_abs", "translate_y_abs", "translate_x_rel", "translate_y_rel")
_CROPS: dict[str, Step] = {
    "RandomResizedCropAndInterpolation": _crop_and_resize,
    "ResizeKeepRatio": _resize_keep_ratio,
    "CenterCropOrPad": _center_crop_or_pad,
    "RandomCropOrPad": _random_crop_or_pad,
}
_ERASINGS: dict[str, Step] = {"RandomErasing": _erase}
_POLICIES: dict[str, Step] = {
    "RandAugment": _rand_augment,
    "AutoAugment": _auto_augment,
}
