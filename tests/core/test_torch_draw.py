"""torch's generator, drawn from natively for one sample: as through its state in Python, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms as v1

from fastload import _core
from fastload.transforms import read
from images import jpeg_bytes

JPEG = jpeg_bytes(2, 90, 70)
TRANSFORM = v1.Compose([v1.RandomResizedCrop(24), v1.RandomHorizontalFlip(), v1.RandomGrayscale(0.3), v1.PILToTensor()])


def drawn_in_python(jpeg, recipe, generator):
    state = generator.get_state()
    streams = _core.Streams(_core.Mt19937.from_torch(state.numpy()))
    plan = jpeg.draw((), recipe, streams)
    streams.torch.export_torch(state.numpy())
    return plan, state


def test_it_is_drawn_as_through_its_state():
    jpeg, reading = _core.LazyJpeg.of(JPEG, 0), read(TRANSFORM)
    form, reader = reading.pixelwise.target("chw"), _core.Reader()
    generator = torch.Generator().manual_seed(5)
    torch.empty(3).normal_(generator=generator)  # which keeps a deviate for the next time
    for _ in range(700):  # more words than it makes at a time
        expected, state = drawn_in_python(jpeg, reading.recipe, generator)
        plan, _ = jpeg.draw_from((), reading.recipe, generator)
        assert torch.equal(generator.get_state(), state)
        assert np.array_equal(jpeg.values(reader, plan, form), jpeg.values(reader, expected, form))


def test_what_is_undone():
    jpeg, recipe = _core.LazyJpeg.of(JPEG, 0), read(TRANSFORM).recipe
    generator = torch.Generator().manual_seed(5)
    before = generator.get_state()
    _, draw = jpeg.draw_from((), recipe, generator)
    assert not torch.equal(generator.get_state(), before)
    draw.undo()
    assert torch.equal(generator.get_state(), before)
    _, draw = jpeg.draw_from((), recipe, generator)
    torch.rand(1, generator=generator)  # somebody else's
    now = generator.get_state()
    draw.undo()
    assert torch.equal(generator.get_state(), now)


def test_a_transform_that_refuses_has_drawn_nothing():
    jpeg, recipe = _core.LazyJpeg.of(JPEG, 0), read(v1.Compose([v1.RandomCrop(500), v1.PILToTensor()])).recipe
    generator = torch.Generator().manual_seed(5)
    before = generator.get_state()
    assert jpeg.draw_from((), recipe, generator) is None
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("size", [16, 5056])
def test_what_is_no_generator_of_torchs(size):
    class Other:
        def get_state(self):
            return torch.zeros(size, dtype=torch.uint8)

    jpeg, recipe = _core.LazyJpeg.of(JPEG, 0), read(TRANSFORM).recipe
    with pytest.raises(ValueError, match="generator"):
        jpeg.draw_from((), recipe, Other())
