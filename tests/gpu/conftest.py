"""Nothing of one test goes on in the next."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc

import pytest

from children import LIMIT
from fastload.gpu.dali_pipeline import Pipeline


@pytest.fixture(autouse=True)
def pipelines_of_others_rest():
    """DALI is prepared in the background, also where the loader is gone that wanted it: what a test puts in a pipeline's place, or
    counts, is not for those."""
    gc.collect()
    for pipeline in [one for one in gc.get_objects() if type(one) is Pipeline]:
        with contextlib.suppress(concurrent.futures.CancelledError):
            pipeline._thread.submit(int).result(LIMIT)  # behind all that it has to do
