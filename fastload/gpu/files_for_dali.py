"""The files of one batch that the engine left to DALI, and what became of them."""

from __future__ import annotations

import numpy as np

from fastload.gpu import resize_images
from fastload.gpu.dali_files import Part, Request


class DeferredFiles:
    """What the engine left of one batch to DALI, and what became of it.

    Attributes:
        deferred: all of it, until sort_out(); then what DALI decoded, in the order of ``decoded``.
        request: to DALI, for all of it.
        pixels: of its images.
        decoded: parts, and which of their images are this batch's.
        refused: (part, {number in the part: slot}) of what DALI could not decode, or what came with it.
        culprits: slots of the first.
    """

    def __init__(self, deferred: resize_images.Deferred, request: Request, pixels: int) -> None:
        self.deferred = deferred
        self.request = request
        self.pixels = pixels
        self.decoded: list[tuple[Part, np.ndarray]] = []
        self.refused: list[tuple[Part, dict[int, int]]] = []
        self.culprits: list[int] = []

    def sort_out(self) -> None:
        """What became of the files, once the request is over."""
        kept = [np.empty(0, np.int64)]
        for part, which, positions in self.request.parts:
            if part.error is None:
                self.decoded.append((part, which))
                kept.append(positions)
            else:
                slots = self.slots[positions]
                self.refused.append((part, dict(zip(which.tolist(), slots.tolist(), strict=True))))
        self.deferred = self.deferred.only(np.concatenate(kept))

    @property
    def slots(self) -> np.ndarray:
        """Of the samples in ``deferred``, int32."""
        return self.deferred.samples[:, resize_images.SLOT]
