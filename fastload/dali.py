"""NVIDIA DALI as a decoder of whole JPEGs, and nothing else: encoded bytes in, decoded images out.

The only file that imports DALI, and it does so when a decoder is made. With ``device_id=None`` DALI's CPU backend does the same
work, which is how this is tested without a GPU.

Note [DALI]
Batches are pushed and pulled in order, by one thread a pipeline, so there is no source that could raise inside DALI and no epoch
that it could end. ``outputs()`` without a stream waits on the host until the images are there: nvJPEG's hardware engine does not
follow streams, so an event would not do. A broken file fails its whole batch, with a message that rarely says which; the next
batches are not touched. What was decoded belongs to DALI's pool, and is held until the kernels that read it are over.

Note [uniform batches]
nvImageCodec (0.9) hands a batch to nvJPEG's hardware engine as one only if all its files have the same chroma sampling; else it
decodes them one by one, from threads that wait for each. On an H200, full decodes with smooth chroma, batches of 256: 17,800
images/s of 4:4:4 alone and 26,700 of 4:2:0 alone, but 10,500 of 78 % and 20 % of them mixed, at three times the CPU time.

Note [first batch]
nvImageCodec keeps what it worked out for its first batch: no later one gives the hardware engine more files than that one had, and
the rest is decoded elsewhere, slower and with other pixels. So each pipeline's first batch is a full one, of a small image.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch

from fastload import errands
from fastload.errands import Errands
from fastload.pace import Pace

# Of the files that the engine leaves: 4:4:4 and 4:2:0, in the numbers of csrc/jpeg/decode.h.
SAMPLINGS = (11, 22)
# Files that a pipeline decodes at a time.
MOST_FILES = 256
# Batches that a pipeline has: one is being decoded, one is parsed.
_DEPTH = 2
# Of one chroma sampling, where there are files enough: between two batches of one the hardware is there for the other's. Decoding
# alone, on an H100: with one 14,700 images/s of 4:4:4 and 18,800 of 4:2:0, with two 16,700 and 20,800.
_PIPELINES = 2
# Until it is known.
_SECONDS_AN_IMAGE = 1e-4
INSTALL = 'pip install "fastload-torch[dali]"'


def why_missing() -> str:
    """Why DALI cannot be used here; empty if it seems to be installed. Imports nothing."""
    try:
        found = importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        found = False
    return "" if found else f"NVIDIA DALI is not installed: {INSTALL}"


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


class _File(NamedTuple):
    owner: weakref.ref[Request]
    position: int
    encoded: np.ndarray
    size: tuple[int, int]


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
        self._make = lambda sampling: Pipeline(sampling, device_id, threads, hw_decoder_load, pace)
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
            self._pipeline(sampling).submit([_File(owner, i, encoded[i], all_sizes[i]) for i in positions])
        return request

    def _pipeline(self, sampling: int) -> Pipeline:
        """The first that has no more than it is at, or the one that has least."""
        with self._lock:
            pipelines = self._pipelines.setdefault(sampling, [])
            if not pipelines:
                pipelines.append(self._make(sampling))
            ready = [pipeline for pipeline in pipelines if pipeline.is_ready] or pipelines[:1]
            least = min(ready, key=lambda pipeline: pipeline.files)
            if least.files >= MOST_FILES and len(pipelines) < _PIPELINES and len(ready) == len(pipelines):
                pipelines.append(self._make(sampling))
                pipelines[-1].prepare()
            return next((pipeline for pipeline in ready if pipeline.files < MOST_FILES), least)

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


class Pipeline:
    """A DALI pipeline that decodes, and the thread that drives it; ``Decoder`` has the arguments.

    It takes as many files at a time as there are when it can take some.
    """

    def __init__(self, sampling: int, device_id: int | None, threads: int, hw_decoder_load: float, pace: Pace) -> None:
        self._sampling = sampling
        self._device_id = device_id
        self._threads = threads
        self._hw_decoder_load = hw_decoder_load
        self._pace = pace
        self._failed_in_a_row = 0
        self._pipeline: Any = None
        self.is_ready = False
        self.failure: Exception | None = None  # where it could not be made
        self._files: deque[_File] = deque()
        self._parts: deque[Part] = deque()  # that come before the files
        self._in_flight: deque[Part] = deque()
        self._lock = threading.Lock()
        self._runs = False
        self._thread = Errands("fastload-dali")

    def prepare(self) -> None:
        """Begins to make it."""
        self._thread.submit(self._prepare)

    def _prepare(self) -> None:
        try:
            if self._pipeline is None:
                self._pipeline = self._make()
            self.is_ready, self.failure = True, None
        except Exception as failure:  # whoever asks for it must hear of it
            self.failure = failure

    @property
    def files(self) -> int:
        """How many are not decoded yet."""
        with self._lock:
            return len(self._files) + sum(len(part.encoded) for part in (*self._parts, *self._in_flight))

    def submit(self, files: Sequence[_File] = (), part: Part | None = None) -> None:
        """Begins to decode some files, or a part as it is."""
        with self._lock:
            self._files.extend(files)
            if part is not None:
                self._parts.append(part)
            if self._runs:
                return
            self._runs = True
        self._thread.submit(self._run)

    def culprits(self, part: Part) -> list[tuple[int, str]]:
        """See ``Decoder.culprits``: by halves."""
        found, ranges = [], [range(len(part.encoded))]
        while ranges:
            some = ranges.pop()
            again = Part(part.sampling, part.encoded[some.start : some.stop], part.sizes[some.start : some.stop])
            self.submit(part=again)
            if not self._thread.run.wait(again.over.wait):
                return found  # it ends: nothing is decoded any more
            if again.error is None:
                continue
            if len(some) == 1:
                found.append((some.start, again.error))
            else:
                ranges += [some[len(some) // 2 :], some[: len(some) // 2]]
        return found

    def _run(self) -> None:
        """On the thread, until there is nothing to do. Whatever happens, nobody waits for ever for what it was given."""
        try:
            self._decode_all()
        except BaseException as failure:
            with self._lock:
                parts = [*self._in_flight, *self._parts]
                for file in self._files:
                    parts.append(Part(self._sampling, [file.encoded], [file.size]))
                    parts[-1].owners = [(file.owner, np.array([0]), np.array([file.position]))]
                for waiting in (self._in_flight, self._parts, self._files):
                    waiting.clear()
                self._runs = False
            self._pipeline = None
            for part in parts:
                if not part.over.is_set():
                    part.end(None, _last_line(failure))
            raise

    def _decode_all(self) -> None:
        while True:
            part = None
            with self._lock:
                if len(self._in_flight) < _DEPTH and not self._thread.run.over:
                    part = self._parts.popleft() if self._parts else self._next_part()
                if part is not None:
                    self._in_flight.append(part)
                elif not self._in_flight:
                    self._runs = False
                    return
            if part is None:
                self._collect_one()
            else:
                self._feed(part)

    def _next_part(self) -> Part | None:
        taken: list[_File] = []
        owners: dict[weakref.ref[Request], list[tuple[int, int]]] = {}
        while self._files and len(taken) < MOST_FILES:
            file = self._files.popleft()
            if file.owner() is not None:
                owners.setdefault(file.owner, []).append((len(taken), file.position))
                taken.append(file)
        if not taken:
            return None
        part = Part(self._sampling, [file.encoded for file in taken], [file.size for file in taken])
        part.owners = [(owner, *np.array(pairs, np.int64).T) for owner, pairs in owners.items()]
        return part

    def _feed(self, part: Part) -> None:
        if self._failed_in_a_row > 1:
            self._drop_pipeline()
        self._prepare()
        part.failure, error = self.failure, None if self.failure is None else _last_line(self.failure)
        if error is None:
            try:
                self._pipeline.feed_input("encoded", _tensors(part.encoded))
                self._pipeline._run_once()  # as DALI's own Proxy: schedule_run() would ask for several batches at first
            except Exception as failure:
                error = _last_line(failure)
                self._drop_pipeline()
        if error is None:
            self._pace.begin()
        else:
            with self._lock:
                self._in_flight.pop()
            part.end(None, error)

    def _drop_pipeline(self) -> None:
        """The next part gets a new one, in case that this is to blame for its failures."""
        while len(self._in_flight) > 1:  # but for the one that is to be fed
            self._collect_one()
        self._pipeline, self._failed_in_a_row = None, 0

    def _collect_one(self) -> None:
        part, images, error = self._in_flight[0], None, None
        try:
            (images,) = self._pipeline.outputs()
            self._failed_in_a_row = 0
            if [tuple(shape[1::-1]) for shape in images.shape()] != part.sizes:
                error = "DALI gave images of another size"
        except Exception as failure:
            error = _last_line(failure)
            self._failed_in_a_row += 1
        self._pace.end(len(part.encoded))
        with self._lock:
            self._in_flight.popleft()
        part.end(images, error)

    def _make(self) -> Any:
        dali, fn, types = import_dali()
        options: dict[str, Any] = {"device": "cpu"}
        if self._device_id is not None:
            options = {
                "device": "mixed",
                "hw_decoder_load": self._hw_decoder_load,
                "jpeg_fancy_upsampling": True,  # without it pixels are off by up to 69
            }
        pipeline = dali.Pipeline(
            batch_size=MOST_FILES,
            num_threads=self._threads,
            device_id=self._device_id,
            prefetch_queue_depth=_DEPTH + 1,
            exec_dynamic=True,
            set_affinity=False,
        )
        with pipeline:
            encoded = fn.external_source(name="encoded", no_copy=True, dtype=types.UINT8, ndim=1, batch=True)
            # adjust_orientation: torchvision's folders do not follow EXIF. affine: another process may have the same cores.
            options |= {"output_type": types.RGB, "adjust_orientation": False, "affine": False}
            images = fn.decoders.image(encoded, **options)
            pipeline.set_outputs(images)
        pipeline.build()
        pipeline.feed_input("encoded", _tensors([_small_jpeg()] * MOST_FILES))  # see Note [first batch]
        pipeline._run_once()
        pipeline.outputs()
        return pipeline


def unusable(failure: Exception) -> RuntimeError:
    """The error for a user whose DALI cannot be used at all."""
    error = RuntimeError(f"NVIDIA DALI does not work here: {_last_line(failure)}")
    error.__cause__ = failure
    return error


def import_dali() -> tuple[Any, Any, Any]:
    """DALI, its ``fn`` and its ``types``; RuntimeError where they cannot be imported."""
    try:
        from nvidia import dali
        from nvidia.dali import fn, types
    except ImportError as error:
        raise RuntimeError(f"NVIDIA DALI cannot be imported ({error}): {INSTALL}") from error
    errands.end_first()  # DALI shuts its pipelines down at the end, and fails where one is still being made
    return dali, fn, types


def _tensors(encoded: list[np.ndarray]) -> Any:
    """In DALI's form. It would take arrays too, but looks at each with Python's lock held: 1.8 ms for 256, in this form 0.4."""
    tensors = importlib.import_module("nvidia.dali.tensors")
    return tensors.TensorListCPU([tensors.TensorCPU(data) for data in encoded], contiguous=False)


def _small_jpeg() -> np.ndarray:
    written = io.BytesIO()
    PIL.Image.new("RGB", (16, 16)).save(written, "JPEG")
    return np.frombuffer(written.getvalue(), np.uint8)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Current pipeline object")]
    return lines[-1] if lines else type(error).__name__
