"""Which names of samples may become files: those that stay in the folder that they are put into, on any system."""

from __future__ import annotations

import functools
import re

from fastload.conversion.errors import BadSampleError

# Nearly all names, in one step: no part begins with what could be special.
_PLAIN = re.compile(r"(?:[\w-][\w. -]*/)*[\w-][\w. -]*")
_DRIVE = re.compile(r"[A-Za-z]:")


def check_name(name: str) -> None:
    """Raises BadSampleError for a name that leads, or would lead on some system, out of its folder."""
    if _PLAIN.fullmatch(name):
        return
    reason = None
    if not name:
        reason = "a sample without a name"
    elif "\0" in name:
        reason = "a name with a NUL byte"
    elif name.startswith(("/", "\\")):
        reason = "an absolute path as a sample's name"
    elif _DRIVE.match(name):
        reason = "a drive's letter in a sample's name"
    elif ".." in re.split(r"[/\\]", name):
        reason = "a sample's name that leads out of its folder"
    elif name.endswith("/") or all(part in ("", ".") for part in name.split("/")):
        reason = "a sample's name that is a folder's"
    if reason is not None:
        raise BadSampleError(name, reason)


@functools.lru_cache(1 << 16)
def check_class(name: str) -> None:
    """Raises BadSampleError for a class that cannot be one folder."""
    check_name(name)
    if "/" in name:
        raise BadSampleError(name, "a class with a slash in its name cannot be a folder")
