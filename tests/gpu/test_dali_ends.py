"""Nobody waits for ever for DALI: what fails outside of it, and what is asked for when all ends."""

from __future__ import annotations

import numpy as np
import pytest

from children import LIMIT
from fastload.gpu import dali_decoder, dali_library, dali_pipeline
from images import jpeg_bytes

pytestmark = pytest.mark.skipif(dali_library.why_missing() != "", reason="DALI is not installed")


def files(count: int):
    encoded = [np.frombuffer(jpeg_bytes(seed, 32, 24, form=0), np.uint8) for seed in range(count)]
    return encoded, np.array([(32, 24)] * count, np.int32), np.full(count, 11, np.int32)


@pytest.mark.parametrize("method", ["_feed", "_next_part"])
def test_what_fails_outside_of_dali_fails_its_files(monkeypatch, method):
    decoder = dali_decoder.Decoder(None, 1, 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(dali_pipeline.Pipeline, method, lambda *given: 1 / 0)
        request = decoder.submit(*files(3))
        assert request.wait(LIMIT)
        assert {part.error for part, _, _ in request.parts} == {"division by zero"}
        assert sorted(position for *_, positions in request.parts for position in positions) == [0, 1, 2]
    again = decoder.submit(*files(3))
    assert again.wait(LIMIT) and [part.error for part, _, _ in again.parts] == [None]


def test_culprits_are_not_waited_for_when_all_ends():
    pipeline = dali_pipeline.Pipeline(11, None, 1, 0.0, dali_pipeline.Pace(1e-4))
    encoded, sizes, _ = files(2)
    pipeline._thread.cancellation.cancel()
    assert pipeline.culprits(dali_pipeline.Part(11, encoded, [tuple(size) for size in sizes.tolist()])) == []
