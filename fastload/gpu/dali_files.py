"""Files that DALI is given, and the decoded images that come of them."""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import torch

from fastload.gpu.dali_library import unusable

# Of the files that the engine leaves: 4:4:4 and 4:2:0, in the numbers of csrc/jpeg/decode.h.
SAMPLINGS = (11, 22)


class Part:
    """Up to MOST_FILES files of one chroma sampling that DALI has at once: uint8 [bytes] each, sizes [(width, height)].

    ``failure`` is DALI's own, whatever the files. The decoded images live as long as this object.
    """

    def __init__(self, sampling: int, encoded: list[np.ndarray], sizes: list[tuple[int, int]]) -> None:
        self.sampling = sampling
        self.encoded = encoded  # DALI reads them
        self.sizes = sizes
        self.images: Any = None
        self.error: str | None = None
        self.failure: Exception | None = None
        self.culprits: list[tuple[int, str]] | None = None
        self.owners: list[tuple[weakref.ref[Request], np.ndarray, np.ndarray]] = []
        self.over = threading.Event()

    def end(self, images: Any, error: str | None) -> None:
        """It is decoded, or has failed."""
        self.images, self.error = images, error
        self.over.set()
        for reference, which, positions in self.owners:
            owner = reference()
            if owner is not None:
                owner.add(self, which, positions)
        self.owners = []

    def addresses(self, which: np.ndarray) -> np.ndarray:
        """In GPU memory, of some of the images, uint8 [height, width, 3] each; int64."""
        return np.array([self.images[i].data_ptr() for i in which.tolist()], np.int64)

    def tensors(self, which: np.ndarray) -> list[torch.Tensor]:
        """Copies on the CPU."""
        images = self.images.as_cpu() if hasattr(self.images, "as_cpu") else self.images
        return [torch.from_numpy(np.array(images[i])) for i in which.tolist()]


class Request:
    """Files that were submitted together. They are not decoded once nobody holds this object any more.

    Attributes:
        parts: in which they were decoded or failed: (part, which of its images, which of the request's files), int64 arrays.
        over: set when all have.
    """

    def __init__(self, files: int) -> None:
        self.parts: list[tuple[Part, np.ndarray, np.ndarray]] = []
        self.over = threading.Event()
        self._files = files
        self._lock = threading.Lock()
        if files == 0:
            self.over.set()

    def add(self, part: Part, which: np.ndarray, positions: np.ndarray) -> None:
        """Some of the files are through."""
        with self._lock:
            self.parts.append((part, which, positions))
            self._files -= len(positions)
            if self._files == 0:
                self.over.set()

    def wait(self, timeout: float) -> bool:
        """True once all files are decoded or have failed; RuntimeError if DALI cannot work at all."""
        if not self.over.wait(timeout):
            return False
        for part, _, _ in self.parts:
            if part.failure is not None:
                raise unusable(part.failure)
        return True


class File(NamedTuple):
    """One file of a request, with its position in it."""

    owner: weakref.ref[Request]
    position: int
    encoded: np.ndarray
    size: tuple[int, int]
