"""Batches on a device, and decoding there."""

from fastload.gpu.decode_choice import DeviceResources
from fastload.gpu.decode_iterator import GpuDecodeIterator
from fastload.gpu.decode_options import GpuDecode, checked_decode, why_unavailable
from fastload.gpu.decode_resources import NICENESS, DecodeResources
from fastload.gpu.device_copy import MovingIterator, Pinning, checked_device
from fastload.gpu.device_iterator import DeviceIterator

__all__ = [
    "NICENESS",
    "DecodeResources",
    "DeviceIterator",
    "DeviceResources",
    "GpuDecode",
    "GpuDecodeIterator",
    "MovingIterator",
    "Pinning",
    "checked_decode",
    "checked_device",
    "why_unavailable",
]
