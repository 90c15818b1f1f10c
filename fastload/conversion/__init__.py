"""Over all samples of a source: checked, described, shown."""

from fastload.conversion.info import LOOKED_AT, SourceInfo, describe
from fastload.conversion.preview import TRANSFORMS, write_preview
from fastload.conversion.verify import Finding, Verification, verify_samples

__all__ = [
    "LOOKED_AT",
    "TRANSFORMS",
    "Finding",
    "SourceInfo",
    "Verification",
    "describe",
    "verify_samples",
    "write_preview",
]
