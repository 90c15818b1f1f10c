"""Which objects lie below a URL: asked once, and kept in a folder until somebody wants it anew."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from fastload.remote.store import Listed
from fastload.remote.transfers_here import transfers

_FORM = "fastload listing 2"


def listing(url: str, folder: Path, *, refresh: bool = False) -> Sequence[Listed]:
    """The objects whose URLs begin with this one, in the order of their names.

    Args:
        folder: where listings are kept; one that cannot be written is not used.
        refresh: ask the store, also where it is known.

    Raises OSError.
    """
    where = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    path = folder / f"{hashlib.sha256(f'{where} {url}'.encode()).hexdigest()[:32]}.txt"
    found = None if refresh else _read(path)
    if found is None:
        found = [one for one in transfers().listing(url) if not one.url.endswith("/")]
        with contextlib.suppress(OSError):
            _write(path, found)
    return found


def _read(path: Path) -> list[Listed] | None:
    try:
        first, *lines = path.read_text("ascii").split("\n")
        kind, _, count = first.rpartition(" ")
        if kind != _FORM or int(count) != len(lines):
            return None
        fields = (line.split("\t") for line in lines)
        return [Listed(unquote(name), int(size), unquote(version)) for name, size, version in fields]
    except (OSError, ValueError):
        return None


def _write(path: Path, found: Sequence[Listed]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{quote(one.url, safe='/:')}\t{one.size}\t{quote(one.version)}" for one in found)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write("\n".join([f"{_FORM} {len(found)}", *lines]))
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
