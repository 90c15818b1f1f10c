"""What a loader whose images the GPU decodes keeps for all its epochs: a decoder, what it leaves to the engine, and their paces."""

from __future__ import annotations

from fastload import _core
from fastload.gpu.bytes_to_values import kernels
from fastload.gpu.dali_decoder import Decoder
from fastload.gpu.decode_options import GpuDecode
from fastload.gpu.decode_pipeline import DecodePipeline
from fastload.gpu.device_copy import Destination
from fastload.gpu.throughput import Pace

# Of each of DALI's pipelines, where they only parse: 2, 4 and 16 gave 16,600, 17,300 and 17,800 images/s on an H200.
_THREADS_BESIDE_HARDWARE = 4
# An image on one thread, until it is known.
_SECONDS_A_THREAD = 1e-3
# Of the engine's threads beside DALI's, which wait for the hardware thousands of times a second. With all 16 cores busy DALI got
# 10,500 images/s from an H200's decoder, with this 15,000 (hybrid: 14,800 to 19,200, and 22,100 to 23,000).
NICENESS = 10


class DecodeResources:
    """Of one loader.

    ``threads``: of the engine. ``rest``: what it leaves of the batches that do not go to the decoder. ``before``: the decoder of
    what was there before goes on, if it is the same.
    """

    def __init__(
        self, decode: GpuDecode, destination: Destination, threads: int, before: DecodeResources | None = None
    ) -> None:
        self.decode = decode
        self.destination = destination
        self.threads = threads
        can_finish = destination.device.type == "cpu"
        if destination.stream is not None and (triton := kernels()) is not None:
            can_finish = True
            with destination.on_stream():
                triton.prepare(destination.device)
        self.rest = _core.Leave.coefficients if can_finish else _core.Leave.nothing
        hardware_alone = decode.backend == "gpu" and decode.hw_decoder_load in (None, 1)
        device_id = destination.device.index if decode.backend == "gpu" else None
        dali_threads = decode.threads or (_THREADS_BESIDE_HARDWARE if hardware_alone else threads)
        load = 1.0 if decode.hw_decoder_load is None else decode.hw_decoder_load
        if before is not None and before.decoder.serves(device_id, dali_threads, load):
            self.decoder: Decoder = before.decoder
        else:
            self.decoder = Decoder(device_id, dali_threads, load)
        self.pipeline = DecodePipeline(self.decoder, destination)
        self.threads_pace = Pace(_SECONDS_A_THREAD / threads)

    def serves(self, decode: GpuDecode, destination: Destination, threads: int) -> bool:
        """Whether this is what an iterator that begins now needs."""
        asked = (decode, destination, threads)
        return asked == (self.decode, self.destination, self.threads) and not self.decoder.is_forked_copy
