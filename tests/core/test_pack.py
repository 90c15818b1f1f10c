"""The last pass, from bytes to the batch's own type and layout, against torch bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cases import cases
from fastload import _core
from fastload.transforms.split_transforms import read

VARIANTS = _core.simd_variants()
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CONVERSIONS = {
    "bytes": [v2.ToImage()],
    "to-tensor": [v1.ToTensor()],
    "imagenet": [v1.ToTensor(), v1.Normalize(MEAN, STD)],
    "imagenet-v2": [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)],
    "half-and-half": [v1.ToTensor(), v1.Normalize((0.5,) * 3, (0.5,) * 3)],
    "unscaled": [v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize((120.0, 110.0, 100.0), (58.0, 57.0, 57.5))],
    "twice": [v1.ToTensor(), v1.Normalize(MEAN, STD), v1.Normalize((0.1,) * 3, (3.0,) * 3)],
    "float16": [v2.ToImage(), v2.ToDtype(torch.float16, scale=True)],
    "bfloat16": [v2.ToImage(), v2.ToDtype(torch.bfloat16, scale=True)],
    "float64": [v2.ToImage(), v2.ToDtype(torch.float64, scale=True)],
    "gray": [v1.Grayscale(), v1.ToTensor(), v1.Normalize((0.4,), (0.2,))],
}


@pytest.mark.parametrize("simd", VARIANTS)
@pytest.mark.parametrize("layout", ["chw", "hwc"])
@pytest.mark.parametrize("name", CONVERSIONS)
def test_values_are_torchs(name, layout, simd):
    steps = CONVERSIONS[name]
    pixelwise = read(v1.Compose(steps)).pixelwise
    target = pixelwise.target(layout)
    rng = np.random.default_rng(3)
    for height, width in [(1, 1), (1, 300), (5, 7), (16, 16), (17, 33), (64, 224)]:
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if name == "gray":
            image[:] = image[:, :, :1]
        for hflip, vflip in [(False, False), (True, False), (False, True), (True, True)]:
            flipped = image[:: -1 if vflip else 1, :: -1 if hflip else 1]
            expected = Image.fromarray(np.ascontiguousarray(flipped))
            for step in steps:
                expected = step(expected)
            packed = torch.from_numpy(_core.pack(image, target, hflip, vflip, simd))
            if pixelwise.table.dtype == torch.bfloat16:
                packed = packed.view(torch.bfloat16)
            packed = packed if layout == "chw" else packed.permute(2, 0, 1)
            assert packed.dtype == expected.dtype and torch.equal(packed, expected.as_subclass(torch.Tensor))


@pytest.mark.parametrize("name", ["to-tensor", "imagenet", "imagenet-v2", "half-and-half"])
def test_the_common_conversions_are_computed(name):
    """Arithmetic, checked against the table, not table look-ups: the faster way must not get lost unseen."""
    assert read(v1.Compose(CONVERSIONS[name])).pixelwise.target("chw").arithmetic


@pytest.mark.parametrize("name", ["unscaled", "twice"])
def test_what_the_arithmetic_does_not_give_is_looked_up(name):
    assert not read(v1.Compose(CONVERSIONS[name])).pixelwise.target("chw").arithmetic


moments = st.floats(-3, 3, width=32), st.floats(2.0**-10, 8, width=32)


@given(st.tuples(*[moments[0]] * 3), st.tuples(*[moments[1]] * 3), st.booleans())
@settings(max_examples=cases(40, 150))
def test_any_mean_and_std(mean, std, new):
    convert = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)] if new else [v1.ToTensor()]
    steps = [*convert, v1.Normalize(mean, std)]
    target = read(v1.Compose(steps)).pixelwise.target("chw")
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    expected = Image.fromarray(image)
    for step in steps:
        expected = step(expected)
    for simd in VARIANTS:
        packed = torch.from_numpy(_core.pack(image, target, False, False, simd))
        # As bits: -0.0 is not 0.0 here.
        assert torch.equal(packed.view(torch.int32), expected.as_subclass(torch.Tensor).contiguous().view(torch.int32))


def test_wrong_tables_are_refused():
    good = np.zeros((3, 256), np.float32)
    for table, element, layout in [
        (good[:2], "float32", "chw"),
        (good, "float16", "chw"),
        (good, "int8", "chw"),
        (good, "float32", "chwn"),
    ]:
        with pytest.raises(ValueError, match=r"table|element|layout"):
            _core.Target(table, element=element, layout=layout)
