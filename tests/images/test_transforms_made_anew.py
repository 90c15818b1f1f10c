"""Code that makes a Compose for each sample, as pix2pix does, and uses it twice: after some of them none is read any more."""

from __future__ import annotations

import io

import PIL.Image
import pytest
import torch
import torchvision.transforms as v1

import fastload
from fastload.images import native_transforms


@pytest.fixture
def image():
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").convert("RGB").save(file, "JPEG")
    return lambda: fastload.open(file.getvalue()).convert("RGB")


def test_they_are_not_read_and_a_lasting_one_is(image, monkeypatch):
    monkeypatch.setattr(native_transforms, "_here", native_transforms._Here())
    read = []
    monkeypatch.setattr(native_transforms, "read", lambda t, plain=native_transforms.read: read.append(t) or plain(t))

    def compose():
        return v1.Compose([v1.Resize((24, 20)), v1.ToTensor()])

    for _ in range(20):
        fast = fastload.native(compose())
        assert torch.equal(fast(image()), fast(image()))
    assert len(read) == native_transforms._UNPROVEN
    lasting = fastload.native(compose())
    for _ in range(native_transforms._OFTEN + 1):
        assert torch.equal(lasting(image()), compose()(image()))
    assert len(read) == native_transforms._UNPROVEN + 1
