"""NVIDIA DALI as a decoder of whole JPEGs, and nothing else: encoded bytes in, decoded images out.

With ``device_id=None`` DALI's CPU backend does the same work, which is how this is tested without a GPU.

Note [uniform batches]
nvImageCodec (0.9) hands a batch to nvJPEG's hardware engine as one only if all its files have the same chroma sampling; else it
decodes them one by one, from threads that wait for each. On an H200, full decodes with smooth chroma, batches of 256: 17,800
images/s of 4:4:4 alone and 26,700 of 4:2:0 alone, but 10,500 of 78 % and 20 % of them mixed, at three times the CPU time.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence

import numpy as np

from fastload.gpu import dali_pipeline
from fastload.gpu.dali_files import File, Part, Request
from fastload.gpu.dali_library import unusable
from fastload.gpu.dali_pipeline import Pipeline
from fastload.gpu.throughput import Pace

# Of one chroma sampling, where there are files enough: between two batches of one the hardware is there for the other's. Decoding
# alone, on an H100: with one 14,700 images/s of 4:4:4 and 18,800 of 4:2:0, with two 16,700 and 20,800.
_PIPELINES = 2
# Until it is known.
_SECONDS_AN_IMAGE = 1e-4


class Decoder:
    """Decodes files, those of each chroma sampling in pipelines of their own: see Note [uniform batches].

    Args:
        device_id: of the GPU; None: DALI's CPU backend.
        threads: of each pipeline; they parse, and decode what the hardware engine does not take.
        hw_decoder_load: the part of each batch that the hardware engine is given, if it can decode it.
    """

    def __init__(self, device_id: int | None, threads: int, hw_decoder_load: float) -> None:
        self.pace = pace = Pace(_SECONDS_AN_IMAGE)
        self._given = (device_id, threads, hw_decoder_load)
        self._pid = os.getpid()
        # Without self: pipelines have threads and a GPU's memory, and end with the decoder.
        self._make: Callable[[int], Pipeline] = lambda sampling: Pipeline(
            sampling, device_id, threads, hw_decoder_load, pace
        )
        self._pipelines: dict[int, list[Pipeline]] = {}
        self._lock = threading.Lock()

    def prepare(self, samplings: np.ndarray) -> None:
        """Begins what takes seconds at first: to import DALI and to make pipelines for such files."""
        for sampling in np.unique(samplings).tolist():
            with self._lock:
                if sampling in self._pipelines:
                    continue
                self._pipelines[sampling] = [self._make(sampling)]
            self._pipelines[sampling][0].prepare()

    @property
    def is_forked_copy(self) -> bool:
        """Whether it was made in another process: its threads are not here."""
        return self._pid != os.getpid()

    def serves(self, device_id: int | None, threads: int, hw_decoder_load: float) -> bool:
        """Whether a new one would be the same."""
        return (device_id, threads, hw_decoder_load) == self._given and not self.is_forked_copy

    @property
    def is_ready(self) -> bool:
        """Whether some pipeline is; RuntimeError if DALI cannot work at all."""
        pipelines = self._all()
        if any(pipeline.is_ready for pipeline in pipelines):
            return True
        for pipeline in pipelines:
            if pipeline.failure is not None:
                raise unusable(pipeline.failure)
        return False

    @property
    def is_starting(self) -> bool:
        """Whether it will be ready soon."""
        return not self.is_ready and bool(self._all())

    def submit(self, encoded: Sequence[np.ndarray], sizes: np.ndarray, samplings: np.ndarray) -> Request:
        """Begins to decode some files.

        sizes: int32 [n, 2] (width, height); samplings: int32 [n], any numbers that tell them apart.
        """
        request = Request(len(encoded))
        owner = weakref.ref(request)
        all_sizes = list(map(tuple, sizes.tolist()))
        for sampling in np.unique(samplings).tolist():
            positions = np.flatnonzero(samplings == sampling).tolist()
            self._pipeline(sampling).submit([File(owner, i, encoded[i], all_sizes[i]) for i in positions])
        return request

    def _pipeline(self, sampling: int) -> Pipeline:
        """The first that has no more than it is at, or the one that has least."""
        with self._lock:
            pipelines = self._pipelines.setdefault(sampling, [])
            if not pipelines:
                pipelines.append(self._make(sampling))
            ready = [pipeline for pipeline in pipelines if pipeline.is_ready] or pipelines[:1]
            least = min(ready, key=lambda pipeline: pipeline.files)
            if least.files >= dali_pipeline.MOST_FILES and len(pipelines) < _PIPELINES and len(ready) == len(pipelines):
                pipelines.append(self._make(sampling))
                pipelines[-1].prepare()
            return next((pipeline for pipeline in ready if pipeline.files < dali_pipeline.MOST_FILES), least)

    def _all(self) -> list[Pipeline]:
        with self._lock:
            return [pipeline for pipelines in self._pipelines.values() for pipeline in pipelines]

    def culprits(self, part: Part) -> list[tuple[int, str]]:
        """Which images of a part that failed DALI cannot decode, and what it says of each; looked for once."""
        if part.culprits is None:
            part.culprits = self._pipelines[part.sampling][0].culprits(part)
        return part.culprits

    @property
    def files(self) -> int:
        """How many were submitted and are not decoded yet."""
        return sum(pipeline.files for pipeline in self._all())
