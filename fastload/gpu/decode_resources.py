"""What a loader whose images the GPU decodes keeps for all its epochs: decoders, what the engine leaves to them, and their
paces."""

from __future__ import annotations

from fastload import _core
from fastload.gpu.bytes_to_values import kernels
from fastload.gpu.dali_decoder import Decoder
from fastload.gpu.decode_options import GpuDecode
from fastload.gpu.decode_pipeline import DecodePipeline
from fastload.gpu.device_copy import Destination
from fastload.gpu.kernel_program import KernelError
from fastload.gpu.throughput import Pace
from fastload.gpu.window_kernels import WindowKernels

# Of each of DALI's pipelines, where they only parse: 2, 4 and 16 gave 16,600, 17,300 and 17,800 images/s on an H200.
_THREADS_BESIDE_HARDWARE = 4
# An image on one thread, until it is known.
_SECONDS_A_THREAD = 1e-3
# Of the engine's threads beside DALI's, which wait for the hardware thousands of times a second. With all 16 cores busy DALI got
# 10,500 images/s from an H200's decoder, with this 15,000 (hybrid: 14,800 to 19,200, and 22,100 to 23,000).
NICENESS = 10


class DecodeResources:
    """Of one loader.

    ``threads``: of the engine. ``with_dali``: batches may go to the hardware. ``rest``: what the engine leaves of the others.
    ``before``: what was there before goes on, as far as it is the same.
    """

    def __init__(
        self,
        decode: GpuDecode,
        destination: Destination,
        threads: int,
        *,
        with_dali: bool,
        before: DecodeResources | None = None,
    ) -> None:
        self.decode = decode
        self.destination = destination
        self.threads = threads
        self.with_dali = with_dali
        self.kernels = _window_kernels(destination, before, needed=not with_dali)
        self.rest = _core.Leave.nothing if self.kernels is None else _core.Leave.windows
        self.decoder: Decoder | None = self._decoder(before) if with_dali else None
        if with_dali and destination.stream is not None and (triton := kernels()) is not None:
            with destination.on_stream():
                triton.prepare(destination.device)
        self.pipeline = DecodePipeline(self.decoder, self.kernels, destination)
        self.threads_pace = Pace(_SECONDS_A_THREAD / threads)

    def _decoder(self, before: DecodeResources | None) -> Decoder:
        decode = self.decode
        hardware_alone = decode.backend == "gpu" and decode.hw_decoder_load in (None, 1)
        device_id = self.destination.device.index if decode.backend == "gpu" else None
        dali_threads = decode.threads or (_THREADS_BESIDE_HARDWARE if hardware_alone else self.threads)
        load = 1.0 if decode.hw_decoder_load is None else decode.hw_decoder_load
        known = before.decoder if before is not None else None
        if known is not None and known.serves(device_id, dali_threads, load):
            return known
        return Decoder(device_id, dali_threads, load)

    @property
    def is_starting(self) -> bool:
        """Whether something is on its way that will make it faster."""
        return self.decoder is not None and self.decoder.is_starting

    def serves(self, decode: GpuDecode, destination: Destination, threads: int, *, with_dali: bool) -> bool:
        """Whether this is what an iterator that begins now needs."""
        asked = (decode, destination, threads, with_dali)
        same = asked == (self.decode, self.destination, self.threads, self.with_dali)
        return same and (self.decoder is None or not self.decoder.is_forked_copy)


def _window_kernels(destination: Destination, before: DecodeResources | None, *, needed: bool) -> WindowKernels | None:
    """On a GPU where they cannot be compiled there is DALI alone, or, if they are ``needed``, their error."""
    if before is not None and before.destination is destination and before.kernels is not None:
        return before.kernels
    try:
        return WindowKernels(destination)
    except KernelError:
        if needed:
            raise
        return None
