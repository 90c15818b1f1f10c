"""fastload: a drop-in for ``torch.utils.data.DataLoader`` that reads, decodes and transforms images natively.

>>> from fastload import DataLoader  # was: from torch.utils.data import DataLoader
"""

from fastload.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastload.batches import require_native
    from fastload.datasets import LMDB, ImageFiles, ImageFolder, Parquet, TFRecord, WebDataset, from_hf
    from fastload.gpu import GpuDecode
    from fastload.images import Views, native, open
    from fastload.installation import install, uninstall
    from fastload.loader import DataLoader
    from fastload.reports import (
        DecodeError,
        FastloadError,
        FastloadWarning,
        NotNativeError,
        ReadError,
        SampleError,
        TooManyErrors,
        TransformError,
    )
    from fastload.shards import write_lmdb, write_parquet, write_tar, write_tfrecord
    from fastload.stateful import StatefulDataLoader

    profile: Any  # of a wing above this one

# Where each name lives. A name is imported when it is first asked for, so that `fastload run` starts a script without torch.
_HOMES = {
    "DataLoader": "loader",
    "DecodeError": "reports",
    "FastloadError": "reports",
    "FastloadWarning": "reports",
    "GpuDecode": "gpu",
    "ImageFiles": "datasets",
    "ImageFolder": "datasets",
    "LMDB": "datasets",
    "NotNativeError": "reports",
    "Parquet": "datasets",
    "ReadError": "reports",
    "SampleError": "reports",
    "StatefulDataLoader": "stateful",
    "TFRecord": "datasets",
    "TooManyErrors": "reports",
    "TransformError": "reports",
    "Views": "images",
    "WebDataset": "datasets",
    "from_hf": "datasets",
    "install": "installation",
    "native": "images",
    "open": "images",
    "profile": "diagnosis",
    "require_native": "batches",
    "uninstall": "installation",
    "write_lmdb": "shards",
    "write_parquet": "shards",
    "write_tar": "shards",
    "write_tfrecord": "shards",
}

__all__ = [
    "LMDB",
    "DataLoader",
    "DecodeError",
    "FastloadError",
    "FastloadWarning",
    "GpuDecode",
    "ImageFiles",
    "ImageFolder",
    "NotNativeError",
    "Parquet",
    "ReadError",
    "SampleError",
    "StatefulDataLoader",
    "TFRecord",
    "TooManyErrors",
    "TransformError",
    "Views",
    "WebDataset",
    "__version__",
    "from_hf",
    "install",
    "native",
    "open",
    "profile",
    "require_native",
    "uninstall",
    "write_lmdb",
    "write_parquet",
    "write_tar",
    "write_tfrecord",
]


if not TYPE_CHECKING:  # a name that is not there is one that a type checker names

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module 'fastload' has no attribute {name!r}")
        import importlib

        value = globals()[name] = getattr(importlib.import_module(f"fastload.{_HOMES[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
