"""What stands for a file in a data set: anything that ``open`` takes."""

from __future__ import annotations

import os
from typing import Any


def name_of(path: Any) -> str | None:
    """The file's name, of text, bytes or an ``os.PathLike``; None for what is none, as None itself, or no path on this system."""
    try:
        name = path if isinstance(path, str) else os.fsdecode(path)
        if not name.isascii():
            os.fsencode(name)
    except Exception:  # whatever a PathLike raises
        return None
    return None if "\0" in name else name


def source_of(path: Any) -> str | bytes:
    """What the engine reads: a file by name. No bytes where there is no name: the plain loader is asked then, which may take the
    path all the same, as a file descriptor, or says what is wrong with it."""
    name = name_of(path)
    return b"" if name is None else name


def opens(path: Any) -> bool:
    """Whether ``open`` takes such a path, be there a file or not."""
    try:
        os.stat(path)
    except OSError:
        return True
    except Exception:
        return False
    return True
