"""The same script with one import changed."""

from __future__ import annotations

import functools

import fastload
from benchmarks.arms import Options, stock_pil


class Arm(stock_pil.Arm):
    """Equal to ``stock_pil``, or no speed is printed."""

    LOADER = fastload.DataLoader

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        explanation = self.loader.explain()
        if not explanation.startswith("native: ") or "threads of this process" not in explanation:
            raise RuntimeError(f"the native path is not in use: {explanation}")

    def stats(self):
        return self.loader.stats()


class Encoded(Arm):
    """The same with the files' bytes in memory."""

    LOADER = functools.partial(fastload.DataLoader, cache="encoded")


class Decoded(Arm):
    """The same with the images' pixels in memory."""

    LOADER = functools.partial(fastload.DataLoader, cache="decoded")
