"""Generators: torch's own word for word, and the counter-based one by its published answers."""

from __future__ import annotations

import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import cases
from fastload import _core
from fastload.transforms.split_transforms import read


@given(st.integers(0, 2**63 - 1), st.integers(0, 2000))
@settings(max_examples=50)
def test_mt19937_is_torchs(seed, skipped):
    theirs = torch.Generator().manual_seed(seed)
    ours = _core.Mt19937(seed)
    for _ in range(skipped):
        ours.next()
    torch.rand(skipped, generator=theirs)
    expected = torch.randint(0, 2**27, (700,), generator=theirs).tolist()
    assert [ours.next() % 2**27 for _ in range(700)] == expected
    expected = torch.rand(700, generator=theirs).tolist()
    assert [(ours.next() & 0xFFFFFF) * 2.0**-24 for _ in range(700)] == expected


@given(st.integers(0, 2**63 - 1), st.integers(0, 1300), st.integers(0, 1300))
@settings(max_examples=30)
def test_torchs_state_goes_in_and_out(seed, before, after):
    generator = torch.Generator().manual_seed(seed)
    torch.rand(before, generator=generator)
    state = generator.get_state()
    ours = _core.Mt19937.from_torch(state.numpy())
    for _ in range(after):
        ours.next()
    ours.export_torch(state.numpy())
    for _ in range(after):
        torch.rand(1, generator=generator)
    other = torch.Generator()
    other.set_state(state)
    assert torch.equal(torch.rand(700, generator=other), torch.rand(700, generator=generator))


def test_a_wrong_state_is_refused():
    with pytest.raises(ValueError, match="not the state"):
        _core.Mt19937.from_torch(torch.zeros(100, dtype=torch.uint8).numpy())
    with pytest.raises(ValueError, match="not the state"):
        _core.Mt19937.from_torch(torch.zeros(5056, dtype=torch.uint8).numpy())


@pytest.mark.parametrize(
    ("seed", "epoch", "index", "words"),
    [
        # Known answers of philox4x32-10 from the Random123 distribution, as far as the counter layout reaches them.
        (0, 0, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ],
)
def test_philox_known_answers(seed, epoch, index, words):
    assert _core.philox_words(seed, epoch, index, 4) == words


def test_philox_streams_differ():
    streams = {tuple(_core.philox_words(s, e, i, 8)) for s in (0, 1, 2**40) for e in (0, 1) for i in (0, 1, 2**33)}
    assert len(streams) == 18
    words = _core.philox_words(1, 2, 3, 40000)
    assert len(set(words)) > 39990 and abs(sum(words) / len(words) / 2**32 - 0.5) < 0.01


@given(
    st.integers(0, 2**40),
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([(0.08, 1.0), (0.5, 0.5), (0.001, 0.9), (1.0, 3.0)]),
    st.sampled_from([(3 / 4, 4 / 3), (0.1, 10.0), (1.0, 1.0), (2, 3)]),
)
@settings(max_examples=cases(100, 300))
def test_random_resized_crop_draws_torchvisions_windows(seed, width, height, scale, ratio):
    transform = v1.RandomResizedCrop(224, scale=scale, ratio=ratio)
    recipe = read(v1.Compose([transform, v1.ToTensor()])).recipe
    generator = _core.Streams(_core.Mt19937(seed))
    torch.manual_seed(seed)
    image = PIL.Image.new("L", (width, height))
    for _ in range(20):
        top, left, h, w = transform.get_params(image, transform.scale, transform.ratio)
        try:
            window, out_width, out_height, *_ = recipe.draw(generator, width, height)
        except ValueError:
            assert h <= 0 or w <= 0 or h > height or w > width
            return
        if h <= 0 or w <= 0:
            return  # a crop without pixels is a black image: see test_absurd_draws.py
        assert (window, out_width, out_height) == ((left, top, w, h), 224, 224)
