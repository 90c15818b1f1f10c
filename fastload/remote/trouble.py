"""Why an object could not be read, and whether asking again may help."""

from __future__ import annotations

import errno

# Asked too often, or somebody's fault that may pass.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 509})
_OF_ONE = frozenset({500, 502})  # of these: no word of a server that has too much to do


class Trouble(Exception):
    """One request that did not give what was asked for.

    Attributes:
        passes: whether it may help to ask again.
        after: seconds to wait before that, as the server wants it; None where it did not say.
        at_once: whether that may be without any pause, the first time.
        errno: of the OSError that it becomes in the end.
    """

    def __init__(
        self,
        why: str,
        *,
        passes: bool = True,
        after: float | None = None,
        at_once: bool = True,
        number: int = errno.EIO,
    ) -> None:
        super().__init__(why)
        self.passes = passes
        self.after = after
        self.at_once = passes and at_once and after is None
        self.errno = number


def of_status(status: int, reason: str, retry_after: str | None) -> Trouble:
    """Of an answer that is an error."""
    what = f"{status} {reason}".strip()
    if status in (404, 410):
        return Trouble(f"{what}: no such object", passes=False, number=errno.ENOENT)
    if status in (401, 403):
        return Trouble(f"{what}: not allowed, with the credentials that there are", passes=False, number=errno.EACCES)
    if status == 412:
        return changed()
    if status == 416:
        return Trouble(f"{what}: the object is shorter than was expected; it has changed", passes=False)
    try:
        after = max(0.0, float(retry_after)) if retry_after else None
    except ValueError:  # a date
        after = None
    return Trouble(what, passes=status in _PASSING, after=after, at_once=status in _OF_ONE and retry_after is None)


def changed() -> Trouble:
    return Trouble("the object has changed since it was listed or indexed, or first read", passes=False)
