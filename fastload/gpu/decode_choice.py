"""What one loader keeps for its device, and who decodes there."""

from __future__ import annotations

import torch

from fastload.batches import LoaderSettings, Mode
from fastload.engine import as_they_were
from fastload.gpu.decode_measurement import DecodeRates, Load, measure
from fastload.gpu.decode_options import (
    GpuDecode,
    checked_decode,
    engine_threads,
    has_entries,
    uses_dali,
    why_not,
    why_unavailable,
)
from fastload.gpu.decode_resources import DecodeResources
from fastload.gpu.device_copy import Destination


class DeviceResources:
    """Of one loader, in one process.

    Attributes:
        destination: the device, with a stream and memory; None until it is asked for.
        decoding: what decodes there, beside the engine; None: nothing did so far.
        rates: what ``decode="auto"`` has measured.
    """

    def __init__(self) -> None:
        self.destination: Destination | None = None
        self.decoding: DecodeResources | None = None
        self.rates: DecodeRates | None = None
        self._measured_with_entries = False

    def destination_on(self, device: torch.device) -> Destination:
        """The same one as long as it serves."""
        if self.destination is None or not self.destination.serves(device):
            self.destination = Destination(device)
        return self.destination

    def decoding_for(
        self, settings: LoaderSettings, mode: Mode, asked: str | GpuDecode, destination: Destination, load: Load
    ) -> DecodeResources | None:
        """What decodes for an iterator that begins now; None: the engine alone. "auto" is measured here: once a
        loader, and once more when most of its samples have got entry points.

        Args:
            load: loads batches in another way, to be measured.
        """
        decode = checked_decode(asked, destination.device)
        if decode is None or why_not(mode) or why_unavailable(decode, destination.device):
            return None
        if decode.how == "auto":
            known = has_entries(settings, mode)
            if self.rates is None or self._measured_with_entries != known:
                if len(settings.dataset) == 0:
                    return None
                self._measured_with_entries = known
                with as_they_were():
                    self.rates, self.decoding = measure(settings, decode, load)
            decode = self.rates.best
            if decode is None:
                return None
        threads, with_dali = engine_threads(settings, decode), uses_dali(settings, mode, decode)
        if self.decoding is None or not self.decoding.serves(decode, destination, threads, with_dali=with_dali):
            self.decoding = DecodeResources(decode, destination, threads, with_dali=with_dali, before=self.decoding)
        return self.decoding

    def describe(self, settings: LoaderSettings, mode: Mode, asked: str | GpuDecode) -> list[str]:
        """Lines of ``explain()`` about who decodes."""
        if asked == "cpu":
            return []
        decode = asked if isinstance(asked, GpuDecode) else GpuDecode(asked)
        why = why_not(mode) or why_unavailable(decode, settings.device)
        if why:
            return [f"  decode: on the CPU, because {why}"]
        if decode.how == "auto":
            return [f"  decode: {self.rates or 'to be chosen by a short measurement when the first epoch begins'}"]
        threads = engine_threads(settings, decode)
        others = f"of codes that {threads} threads read"
        if uses_dali(settings, mode, decode):
            others = f"by its hardware (through DALI) and {others}"
        return [
            f"  decode: on the GPU, of codes that are entered where entry points are known, else {others}; else on the CPU"
        ]
