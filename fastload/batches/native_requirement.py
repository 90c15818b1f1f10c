"""``require_native``: an error in the place of a loader that is slower than it need be."""

from __future__ import annotations

from typing import Any

import torch.utils.data

from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.not_native_reasons import not_native_error
from fastload.reports import NotNativeError


def require_native(loader: torch.utils.data.DataLoader[Any]) -> None:
    """Raises :class:`NotNativeError` with every reason, unless native threads make the batches of ``loader``, as it is now.

    Example:
        >>> import fastload
        >>> fastload.require_native(fastload.DataLoader([1, 2, 3]))
        Traceback (most recent call last):
            ...
        fastload.reports.errors.NotNativeError: native threads do not make the batches of this loader: the ...
    """
    settings = loader._settings() if hasattr(loader, "_settings") else None
    if not isinstance(settings, LoaderSettings):  # torch's loader, or somebody's
        name = f"{type(loader).__module__}.{type(loader).__qualname__}"
        remedy = "import DataLoader from fastload, or call fastload.install() before it is made"
        raise NotNativeError([f"{name} is no fastload.DataLoader ({remedy})"])
    error = not_native_error(settings)
    if error is not None:
        raise error
