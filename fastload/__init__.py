"""fastload: a drop-in for ``torch.utils.data.DataLoader`` that reads, decodes and transforms images natively.

>>> from fastload import DataLoader  # was: from torch.utils.data import DataLoader
"""

from fastload.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastload.choice import GpuDecode
    from fastload.datasets.files import ImageFiles
    from fastload.datasets.folder import ImageFolder
    from fastload.errors import (
        DecodeError,
        FastloadError,
        FastloadWarning,
        NotNativeError,
        ReadError,
        SampleError,
        TooManyErrors,
        TransformError,
    )
    from fastload.fastpath import require_native
    from fastload.installation import install, uninstall
    from fastload.loader import DataLoader
    from fastload.stateful import StatefulDataLoader

# Where each name lives. A name is imported when it is first asked for, so that `fastload run` starts a script without torch.
_HOMES = {
    "DataLoader": "loader",
    "DecodeError": "errors",
    "FastloadError": "errors",
    "FastloadWarning": "errors",
    "GpuDecode": "choice",
    "ImageFiles": "datasets.files",
    "ImageFolder": "datasets.folder",
    "NotNativeError": "errors",
    "ReadError": "errors",
    "SampleError": "errors",
    "StatefulDataLoader": "stateful",
    "TooManyErrors": "errors",
    "TransformError": "errors",
    "install": "installation",
    "require_native": "fastpath",
    "uninstall": "installation",
}

__all__ = [
    "DataLoader",
    "DecodeError",
    "FastloadError",
    "FastloadWarning",
    "GpuDecode",
    "ImageFiles",
    "ImageFolder",
    "NotNativeError",
    "ReadError",
    "SampleError",
    "StatefulDataLoader",
    "TooManyErrors",
    "TransformError",
    "__version__",
    "install",
    "require_native",
    "uninstall",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'fastload' has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(f"fastload.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
