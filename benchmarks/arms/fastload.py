"""The same script with one import changed."""

from __future__ import annotations

import functools
import os
import shutil

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


class Off(Arm):
    """The same without entry points."""

    LOADER = functools.partial(fastload.DataLoader, entries="off")


class Verify(Arm):
    """The same with entry points, if the files' content is as it was."""

    LOADER = functools.partial(fastload.DataLoader, entries="verify")


class Given(Arm):
    """The same with the entry points of the file that the environment names, and no others."""

    LOADER = functools.partial(fastload.DataLoader, entries=os.environ.get("FASTLOAD_BENCHMARK_ENTRIES", "off"))


class First(Arm):
    """The same, and each epoch is the first: what entry points there were are gone."""

    def epoch(self):
        from fastload.engine import file_dataset_of
        from fastload.entries import roots_of

        for root in roots_of([file_dataset_of(self.loader.dataset)]):
            shutil.rmtree(root.cache, ignore_errors=True)
        return super().epoch()
