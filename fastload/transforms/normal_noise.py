"""Normal deviates, made by torch itself: how it makes them of random words depends on its build and on the processor."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from fastload import _core


def drawn(generator: _core.Mt19937, count: int, dtypes: Sequence[str]) -> tuple[bytes, _core.Mt19937]:
    """``torch.empty(count).normal_()`` as it is drawn from there, cast to one dtype after the other; and the generator behind it.

    The core calls it, on any thread.
    """
    torchs = torch.Generator("cpu")
    state = torchs.get_state()
    generator.export_torch(state.numpy())
    torchs.set_state(state)
    noise = torch.empty(count, dtype=torch.float32, device="cpu").normal_(generator=torchs)
    for dtype in dtypes:
        noise = noise.to(getattr(torch, dtype))
    return noise.view(torch.uint8).numpy().tobytes(), _core.Mt19937.from_torch(torchs.get_state().numpy())


@functools.cache
def costs_what_the_engine_skips() -> bool:
    """Whether the installed torch draws a word for each of 16 deviates or more, and 16 more where the last block is not full."""
    for count in (16, 17, 31, 32, 100):
        generator = torch.Generator("cpu").manual_seed(count)
        words = _core.Mt19937(count)
        torch.empty(count, dtype=torch.float32, device="cpu").normal_(generator=generator)
        for _ in range(count + 16 * (count % 16 != 0)):
            words.next()
        state = generator.get_state()
        native = state.clone()
        words.export_torch(native.numpy())
        if not torch.equal(state, native):
            return False
    return True
