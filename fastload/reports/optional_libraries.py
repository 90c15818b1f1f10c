"""Libraries that come with an extra of this package, imported when they are used."""

from __future__ import annotations

import importlib
from types import ModuleType


def needs(library: str, extra: str, what: str = "this") -> ModuleType:
    """The module ``library``; an ImportError that says how to get it, where it is not installed.

    Args:
        library: the module's name.
        extra: of ``fastload-torch``, that brings it.
        what: needs it; the beginning of the error's sentence.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ImportError(
            f"{what} needs {library}, which does not import ({error}): pip install 'fastload-torch[{extra}]'",
            name=library,
        ) from error
