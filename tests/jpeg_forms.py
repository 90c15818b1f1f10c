"""JPEGs of every form, written by jpeg_writer.cpp, which is compiled once a test run against the system's libjpeg."""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

CHANNELS = {"gray": 1, "ycc": 3, "rgb": 3, "cmyk": 4, "ycck": 4}


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="jpeg_writer_")  # goes with the interpreter


@functools.cache
def _writer() -> str | None:
    source = Path(__file__).with_name("jpeg_writer.cpp")
    beside = source.with_suffix(
        ""
    )  # packaging/test_wheel.sh puts it there, for there is no compiler where its tests run
    if beside.exists():
        return str(beside)
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        return None
    program = str(Path(_folder().name) / "jpeg_writer")
    built = subprocess.run([compiler, "-std=c++17", "-O1", str(source), "-ljpeg", "-o", program], capture_output=True)
    return program if built.returncode == 0 else None


def noise(width: int, height: int, channels: int, seed: int = 0) -> np.ndarray:
    """Slopes under noise: every row and column differs from its neighbours, and chroma differs from luma."""
    rng = np.random.default_rng([width, height, channels, seed])
    y, x = np.mgrid[0:height, 0:width]
    slopes = np.stack([(7 * x + 3 * y * (i + 1)) % 256 for i in range(channels)], axis=2)
    return (0.6 * slopes + 0.4 * rng.integers(0, 256, slopes.shape)).astype(np.uint8)


@functools.cache
def write_jpeg(width: int, height: int, space: str, sampling: str, *options: str, quality: int = 90) -> bytes:
    """A JPEG whose components are `space`, sampled as in "2x2,1x1,1x1"; for the options see jpeg_writer.cpp."""
    program = _writer()
    if program is None:
        pytest.skip("needs a C++ compiler and libjpeg's headers")
    command = [program, str(width), str(height), space, str(quality), sampling, *options]
    return subprocess.run(
        command, input=noise(width, height, CHANNELS[space]).tobytes(), capture_output=True, check=True
    ).stdout


def pillow_jpeg(image: PIL.Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def pillow_pixels(data: bytes) -> np.ndarray | None:
    """What `Image.open(...).convert("RGB")` gives; None where Pillow refuses, however it says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of EXIF that is cut short
        try:
            with PIL.Image.open(io.BytesIO(data)) as image:
                return np.asarray(image.convert("RGB"))
        except Exception:
            return None


def segments(data: bytes) -> list[tuple[int, int, int]]:
    """(marker, begin, end) of every marker segment up to the first scan's header, that one included."""
    found, at = [], 2
    while True:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], at, end))
        if data[at + 1] == 0xDA:
            return found
        at = end


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def with_segment(data: bytes, marker: int, payload: bytes) -> bytes:
    """The JPEG with one more segment right behind its SOI."""
    return data[:2] + segment(marker, payload) + data[2:]


def without(data: bytes, marker: int) -> bytes:
    for kind, begin, end in reversed(segments(data)):
        if kind == marker:
            data = data[:begin] + data[end:]
    return data
