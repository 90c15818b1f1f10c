"""``install()``: scripts that name torch's loader get this package's, without a change to them.

The constructor is what changes, not the name: whoever imported ``DataLoader`` from torch, before or after, has the same class, so
``isinstance``, annotations and pickles go on meaning what they meant, and ``uninstall()`` leaves nothing behind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch.utils.data

from fastload.loader import DataLoader

_REPLACED = "_fastload_replaced"


def install() -> None:
    """From now on ``torch.utils.data.DataLoader(...)`` makes a :class:`fastload.DataLoader`, by whatever name it was imported.

    Accelerate, ``transformers.Trainer``, timm and Lightning, which make loaders of their own, make this one too. Subclasses of
    torch's loader stay what they are. Installing twice is installing once.

    Example:
        >>> import fastload, torch.utils.data
        >>> fastload.install()
        >>> type(torch.utils.data.DataLoader([1, 2])) is fastload.DataLoader
        True
        >>> fastload.uninstall()
        >>> type(torch.utils.data.DataLoader([1, 2])) is fastload.DataLoader
        False
    """
    stock = torch.utils.data.DataLoader
    if not hasattr(stock.__init__, _REPLACED):
        stock.__init__ = _turning_into_ours(stock.__init__)  # type: ignore[method-assign]


def uninstall() -> None:
    """torch's constructor is torch's again. Loaders that were made in between stay what they are."""
    stock = torch.utils.data.DataLoader
    if hasattr(stock.__init__, _REPLACED):
        stock.__init__ = getattr(stock.__init__, _REPLACED)  # type: ignore[method-assign]


def _turning_into_ours(init: Callable[..., None]) -> Callable[..., None]:
    stock = torch.utils.data.DataLoader

    @functools.wraps(init)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if type(self) is stock:
            self.__class__ = DataLoader
            self.__init__(*args, **kwargs)
        else:
            init(self, *args, **kwargs)

    setattr(construct, _REPLACED, init)
    return construct
