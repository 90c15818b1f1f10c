"""Over all samples of a source: converted, checked, described, shown."""

from fastload.conversion.convert_source import DEFAULT_SHARD_SIZE, convert
from fastload.conversion.damaged_sources import open_damaged
from fastload.conversion.errors import BadSampleError, ConversionError, RefusedError
from fastload.conversion.formats import FORMATS
from fastload.conversion.info import LOOKED_AT, SourceInfo, describe
from fastload.conversion.optimize import Optimize
from fastload.conversion.preview import TRANSFORMS, write_preview
from fastload.conversion.progress import Progress
from fastload.conversion.shrink import DEFAULT_QUALITY, Shrink
from fastload.conversion.verify import Finding, Verification, verify_samples

__all__ = [
    "DEFAULT_QUALITY",
    "DEFAULT_SHARD_SIZE",
    "FORMATS",
    "LOOKED_AT",
    "TRANSFORMS",
    "BadSampleError",
    "ConversionError",
    "Finding",
    "Optimize",
    "Progress",
    "RefusedError",
    "Shrink",
    "SourceInfo",
    "Verification",
    "convert",
    "describe",
    "open_damaged",
    "verify_samples",
    "write_preview",
]
