"""One DALI pipeline that decodes JPEGs, and the thread that drives it.

Note [DALI]
Batches are pushed and pulled in order, by one thread a pipeline, so there is no source that could raise inside DALI and no epoch
that it could end. ``outputs()`` without a stream waits on the host until the images are there: nvJPEG's hardware engine does not
follow streams, so an event would not do. A broken file fails its whole batch, with a message that rarely says which; the next
batches are not touched. What was decoded belongs to DALI's pool, and is held until the kernels that read it are over.

Note [first batch]
nvImageCodec keeps what it worked out for its first batch: no later one gives the hardware engine more files than that one had, and
the rest is decoded elsewhere, slower and with other pixels. So each pipeline's first batch is a full one, of a small image.

"""

from __future__ import annotations

import importlib
import io
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from fastload.engine import BackgroundThread
from fastload.gpu.dali_files import File, Part, Request
from fastload.gpu.dali_library import import_dali, last_line
from fastload.gpu.throughput import Pace

# Files that a pipeline decodes at a time.
MOST_FILES = 256
# Batches that a pipeline has: one is being decoded, one is parsed.
_DEPTH = 2


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
        self._files: deque[File] = deque()
        self._parts: deque[Part] = deque()  # that come before the files
        self._in_flight: deque[Part] = deque()
        self._lock = threading.Lock()
        self._runs = False
        self._thread = BackgroundThread("fastload-dali")

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

    def submit(self, files: Sequence[File] = (), part: Part | None = None) -> None:
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
        found: list[tuple[int, str]] = []
        ranges = [range(len(part.encoded))]
        while ranges:
            some = ranges.pop()
            again = Part(part.sampling, part.encoded[some.start : some.stop], part.sizes[some.start : some.stop])
            self.submit(part=again)
            if not self._thread.cancellation.wait(again.over.wait):
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
                    part.end(None, last_line(failure))
            raise

    def _decode_all(self) -> None:
        while True:
            part = None
            with self._lock:
                if len(self._in_flight) < _DEPTH and not self._thread.cancellation.cancelled:
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
        taken: list[File] = []
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
        part.failure, error = self.failure, None if self.failure is None else last_line(self.failure)
        if error is None:
            try:
                self._pipeline.feed_input("encoded", _tensors(part.encoded))
                self._pipeline._run_once()  # as DALI's own Proxy: schedule_run() would ask for several batches at first
            except Exception as failure:
                error = last_line(failure)
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
            error = last_line(failure)
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


def _tensors(encoded: list[np.ndarray]) -> Any:
    """In DALI's form. It would take arrays too, but looks at each with Python's lock held: 1.8 ms for 256, in this form 0.4."""
    tensors = importlib.import_module("nvidia.dali.tensors")
    return tensors.TensorListCPU([tensors.TensorCPU(data) for data in encoded], contiguous=False)


def _small_jpeg() -> np.ndarray:
    written = io.BytesIO()
    PIL.Image.new("RGB", (16, 16)).save(written, "JPEG")
    return np.frombuffer(written.getvalue(), np.uint8)
