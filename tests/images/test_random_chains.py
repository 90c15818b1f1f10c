"""Any chain of Pillow's operations gives the same image, of whole files and of damaged ones."""

from __future__ import annotations

import io
import multiprocessing
import random
import zlib

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageFilter
import PIL.ImageOps
import pytest
from both import outcome, shown
from hypothesis import given, settings
from hypothesis import strategies as st

import fastload
from images import jpeg_bytes, picture

FILTERS = list(PIL.Image.Resampling)[:6]


def file_of(seed: int, size: tuple[int, int]) -> bytes:
    if seed % 5 == 4:
        file = io.BytesIO()
        picture(seed, *size).convert("L").save(file, "JPEG", quality=85)
        return file.getvalue()
    return jpeg_bytes(seed, *size)


def step(rng: random.Random, image: PIL.Image.Image) -> PIL.Image.Image:
    """One operation on an image, the same for the same numbers and size."""
    width, height = image.size
    match rng.choice(
        [
            "crop",
            "crop",
            "resize",
            "resize",
            "transpose",
            "convert",
            "copy",
            "load",
            "box",
            "gap",
            "out",
            "other",
            "blur",
            "table",
        ]
    ):
        case "crop":
            left, top = rng.randrange(width), rng.randrange(height)
            return image.crop((left, top, rng.randint(left + 1, width), rng.randint(top + 1, height)))
        case "resize":
            return image.resize((rng.randint(1, 90), rng.randint(1, 90)), rng.choice(FILTERS))
        case "transpose":
            return image.transpose(rng.choice(list(PIL.Image.Transpose)))
        case "convert":
            return image.convert(rng.choice(["RGB", "RGB", "L"]))
        case "copy":
            return image.copy()
        case "load":
            image.load()
            return image
        case "box":
            sides = [rng.random() * width / 2, rng.random() * height / 2, width - rng.random() * width / 2, height]
            box = tuple(round(side) if rng.random() < 0.3 else side for side in sides)
            size = (rng.randint(1, 60), rng.randint(1, 60))
            if rng.random() < 0.2:  # of whole pixels, and of the size that it has
                box = tuple(map(round, box))
                size = (max(1, box[2] - box[0]), max(1, box[3] - box[1]))
            return image.resize(size, rng.choice(FILTERS), box)
        case "gap":
            return image.resize(
                (rng.randint(1, 60), rng.randint(1, 60)), rng.choice(FILTERS), reducing_gap=1 + rng.random() * 2
            )
        case "out":
            return image.crop((rng.randint(-9, 0), -1, width + rng.randint(0, 9), height))
        case "blur":
            radius = rng.choice([0, 0.1, 1, rng.uniform(0, 3), (2, 0), (rng.uniform(0, 9), 1.5)])
            return image.filter(PIL.ImageFilter.GaussianBlur(radius))
        case "table":
            changes = (PIL.ImageOps.solarize, PIL.ImageOps.invert, lambda image: PIL.ImageOps.posterize(image, 3))
            return rng.choice(changes)(image)
        case _:
            return image.point(lambda value: 255 - value)


def chain(data: bytes, seed: int, open_image) -> tuple:
    rng = random.Random(seed)
    image = open_image(io.BytesIO(data))
    held = []
    for _ in range(rng.randint(1, 6)):
        held.append(image)
        image = step(rng, image)
    asked = rng.choice(held)  # that it was used before changes nothing
    return shown(image), np.asarray(asked).tobytes()


def assert_same_chain(data: bytes, seed: int) -> None:
    assert outcome(lambda: chain(data, seed, PIL.Image.open)) == outcome(lambda: chain(data, seed, fastload.open)), seed


@settings(max_examples=200)
@given(st.integers(0, 11), st.tuples(st.integers(1, 70), st.integers(1, 70)), st.integers(0, 2**32))
def test_chains(seed, size, numbers):
    assert_same_chain(file_of(seed, size), numbers)


def many_chains(first: int) -> None:
    for number in range(first, first + 2_500):
        rng = random.Random(number)
        assert_same_chain(file_of(number % 12, (rng.randint(1, 120), rng.randint(1, 120))), number)


def damage(rng: random.Random, whole: bytes) -> bytes:
    """What happens to files on their way; most still end as JPEGs do."""
    made = bytearray(whole)
    kind = rng.randrange(6)
    if kind == 0:
        return bytes(made[: rng.randint(0, len(made))])
    if kind == 1:
        return bytes(made) + rng.randbytes(rng.choice([1, 100, 70_000]))
    for _ in range(rng.choice([1, 1, 4])):
        at = rng.randrange(2 if kind == 2 else len(made) // 3, len(made) - 2)
        match kind:
            case 2 | 3:
                made[at] = rng.randrange(256)
            case 4:
                del made[at : min(at + rng.randint(1, 60), len(made) - 2)]
            case _:
                made[at:at] = rng.choice([b"\xff\xd9", b"\xff\xd0", b"\xff" * 20, rng.randbytes(8)])
    return bytes(made)


def statements(data: bytes, open_image) -> list:
    """Which statements went through, with what: an error stands where it was raised."""
    said: list = []
    done = outcome(lambda: _statements(data, open_image, said))
    return [*said, done]


def _statements(data: bytes, open_image, said: list) -> None:
    image = open_image(io.BytesIO(data))
    said.append((image.size, image.mode, image.info))
    image = image.convert("RGB") if zlib.crc32(data) % 2 else (image.load(), image)[1]
    said.append("loaded")
    width, height = image.size
    part = image.crop((width // 4, height // 4, 3 * width // 4 + 1, 3 * height // 4 + 1)).resize((24, 20), 2)
    said.append("resized")
    said.append(np.asarray(part).tobytes())
    said.append(np.asarray(image).tobytes())


def damaged_files(first: int, count: int) -> None:
    for number in range(first, first + count):
        rng = random.Random(number)
        data = damage(rng, file_of(number % 12, (rng.randint(8, 90), rng.randint(8, 90))))
        assert statements(data, PIL.Image.open) == statements(data, fastload.open), number


@pytest.mark.parametrize("allowed", [False, True])
def test_damaged_files(allowed, monkeypatch):
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", allowed)
    damaged_files(150 * allowed, 150)


def in_two_processes(work, arguments) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.starmap(work, arguments, chunksize=1)


@pytest.mark.slow
def test_many_chains():
    in_two_processes(many_chains, [(0,), (2_500,)])


@pytest.mark.slow
def test_many_damaged_files():
    in_two_processes(damaged_files, [(first, 1_000) for first in range(0, 10_000, 1_000)])
