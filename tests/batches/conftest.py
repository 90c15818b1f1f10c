"""What tests of batches share."""

from __future__ import annotations

import placed_samples
import pytest


@pytest.fixture
def worker(monkeypatch):
    """The blocks of this process, which is as a worker."""
    return placed_samples.as_worker(monkeypatch)
