"""Files of the Hugging Face hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

from fastload.remote.addresses import HubPath, hub
from fastload.remote.http_connection import Answer
from fastload.remote.http_store import HttpStore
from fastload.remote.store import Attempt, Got, Listed, Prepared, limited
from fastload.remote.trouble import Trouble, of_status

_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


class HubStore(HttpStore):
    """Files of the Hugging Face hub, whose token goes to the hub and nowhere else.

    A file's version is the hash that the hub says, as its listings do: of its bytes (of a large file), or git's. Where it sends to
    has ETags of its own.
    """

    def prepared(self, url: str, version: str) -> Prepared | None:
        return None  # it sends on

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        got = super().get(url, first, length, version, attempt)
        # A mirror may list hashes, and have other ETags.
        is_other_kind = _HASH.fullmatch(version) is not None and _HASH.fullmatch(got.version) is None
        return got._replace(version="") if is_other_kind else got

    def _address(self, url: str) -> str:
        return HubPath.of(url).download_url()

    def _lines(self, url: str) -> str:
        token = _hub_token() if url.startswith(f"{hub()}/") else None
        return f"Authorization: Bearer {token}\r\n" if token else ""

    def _told(self, url: str, answer: Answer) -> str:
        tag = answer.headers.get("x-linked-etag") or answer.headers.get("etag") or ""
        return tag.removeprefix("W/").strip('"') if url.startswith(f"{hub()}/") else ""

    def _version(self, told: str, there: str) -> str:
        return told

    def list(self, url: str) -> Iterator[Listed]:
        below = HubPath.of(url)
        at, asked = below.listing_url(), set[str]()
        while at:
            if at in asked:
                raise Trouble("the listing goes round in a circle", passes=False)
            asked.add(at)
            answer, _ = self._following_listing(at)
            try:
                files = [entry for entry in json.loads(bytes(answer.body)) if entry.get("type") == "file"]
                found = [(e["path"], int(e["size"]), str((e.get("lfs") or e).get("oid", ""))) for e in files]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Trouble("the listing is damaged") from error
            for path, size, version in found:
                yield Listed(below.url_of(path), size, version)
            following = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("link", ""))
            at = urljoin(at, following[1]) if following else ""

    def _following_listing(self, url: str) -> tuple[Answer, str]:
        with limited() as attempt:
            answer = self._one(url, self._lines(url), 0, -1, "", attempt)
        if answer.status != 200:
            raise of_status(answer.status, answer.reason, answer.headers.get("retry-after"))
        return answer, url


def _hub_token() -> str | None:
    """From where the hub's own library has it."""
    if os.environ.get("HF_TOKEN"):
        return os.environ["HF_TOKEN"]
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    try:
        return Path(os.environ.get("HF_TOKEN_PATH") or Path(home) / "token").read_text().strip() or None
    except OSError:
        return None
