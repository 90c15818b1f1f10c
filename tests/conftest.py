"""What all tests share: the folder of real photos, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _photo_folders():
    if "FASTLOAD_PHOTOS" in os.environ:
        yield Path(os.environ["FASTLOAD_PHOTOS"])
    yield Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"


@pytest.fixture(scope="session")
def photo_folder() -> Path:
    """A flat folder of real JPEGs: $FASTLOAD_PHOTOS, or one that lies beside the checkout. Never part of the project."""
    for folder in _photo_folders():
        if any(folder.glob("*.JPEG")):
            return folder
    pytest.skip("no folder of real photos: set FASTLOAD_PHOTOS")
