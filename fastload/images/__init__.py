"""Images of Pillow's that are decoded when their pixels are asked for, natively, and only as much of them as is."""

import PIL.JpegImagePlugin  # noqa: F401  first, since install() may be waiting for it

from fastload.images.open_image import are_installed, install_images, open, uninstall_images
from fastload.images.pillow_class import is_lazy, why_pillow_is_unknown
from fastload.images.torchvision_hooks import put as know_lazy_images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastload.images.loader_lines import counted_here, expected_gain, explained, lazy_figures
    from fastload.images.native_transforms import native
    from fastload.images.views import Views

# What needs torchvision is imported when it is asked for: images alone do not.
_HOMES = {
    "Views": "views",
    "counted_here": "loader_lines",
    "expected_gain": "loader_lines",
    "explained": "loader_lines",
    "lazy_figures": "loader_lines",
    "native": "native_transforms",
}

__all__ = [
    "Views",
    "are_installed",
    "counted_here",
    "expected_gain",
    "explained",
    "install_images",
    "is_lazy",
    "know_lazy_images",
    "lazy_figures",
    "native",
    "open",
    "uninstall_images",
    "why_pillow_is_unknown",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'fastload.images' has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(f"fastload.images.{_HOMES[name]}"), name)
    return value
