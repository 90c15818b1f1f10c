"""fastload: a drop-in for ``torch.utils.data.DataLoader`` that reads, decodes and transforms images natively.

>>> from fastload import DataLoader  # was: from torch.utils.data import DataLoader
"""

from fastload.choice import GpuDecode
from fastload.datasets.files import ImageFiles
from fastload.datasets.folder import ImageFolder
from fastload.errors import DecodeError, FastloadError, ReadError, SampleError, TransformError
from fastload.installation import install, uninstall
from fastload.loader import DataLoader
from fastload.stateful import StatefulDataLoader
from fastload.version import __version__

__all__ = [
    "DataLoader",
    "DecodeError",
    "FastloadError",
    "GpuDecode",
    "ImageFiles",
    "ImageFolder",
    "ReadError",
    "SampleError",
    "StatefulDataLoader",
    "TransformError",
    "__version__",
    "install",
    "uninstall",
]
