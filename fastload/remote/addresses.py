"""URLs: which there are, what of them may be said, and what a store's name is in another's words."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

SCHEMES = ("http", "https", "s3", "gs", "az", "hf")
_PREFIXES = tuple(f"{scheme}://" for scheme in SCHEMES)
_PORTS = {"http": 80, "https": 443}
# Parameters of signatures: of S3 and Google; and those whose names say that only beside others: of CloudFront and older ones of
# both, and of Azure.
_SIGNING = ("x-amz-", "x-goog-")
_SIGNED_BY = {
    "signature": ("signature", "expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid"),
    "sig": (
        *("sig", "sv", "ss", "srt", "st", "se", "sp", "sr", "sip", "spr", "ses", "sdd", "scid"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid"),
    ),
}
_HF_KINDS = ("datasets", "spaces")


def is_remote(path: Any) -> bool:
    """Whether a path is a URL of one of :data:`SCHEMES`."""
    return isinstance(path, str) and path.startswith(_PREFIXES)


def redacted(url: str) -> str:
    """A URL, or a command with one, as it may be printed: what may be a secret, a signature in its query or a user's name before
    its host, is left out. Other text stays as it is."""
    scheme, is_url, rest = url.partition("://")
    if not is_url:
        return url
    rest, question, _ = rest.partition("?")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" + ("?..." if question else "")


def unsigned(url: str) -> str:
    """A URL without what may be another tomorrow for the same object: the signature in its query, and a user before its host. What
    else the query says may name the object, and stays."""
    if not url.startswith(("http://", "https://")) or ("?" not in url and "@" not in url):
        return url
    address, _, query = url.partition("?")
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    parts = [part for part in query.split("&") if part]
    names = {part.partition("=")[0].lower() for part in parts}
    signing = {name for mark, signing in _SIGNED_BY.items() if mark in names for name in signing}
    kept = [
        part
        for part in parts
        if not part.lower().startswith(_SIGNING) and part.partition("=")[0].lower() not in signing
    ]
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}{'?' if kept else ''}{'&'.join(kept)}"


def name_in(url: str) -> str:
    """The last part of its path, without the query."""
    return posixpath.basename(url.partition("?")[0])


@dataclass(frozen=True)
class Bucket:
    """``scheme://name/key`` of an object store.

    Attributes:
        name: of the bucket or container.
        key: of an object, or the beginning of several.
    """

    scheme: str
    name: str
    key: str

    @classmethod
    def of(cls, url: str) -> Bucket:
        """Raises ValueError where the URL names none."""
        scheme, _, rest = url.partition("://")
        name, _, key = rest.partition("/")
        if not name or name != name.strip() or any(c in name for c in "@?#%\\"):
            raise ValueError(f"{redacted(url)} names no bucket")
        return cls(scheme, name, key)

    def url_of(self, key: str) -> str:
        return f"{self.scheme}://{self.name}/{key}"


@dataclass(frozen=True)
class HubPath:
    """``hf://datasets/org/name@revision/path`` of the Hugging Face hub; a model's begins without ``datasets``.

    Attributes:
        kind: "datasets", "spaces", or "" for a model.
        repository: "org/name".
        revision: a branch, a tag or a commit.
        path: of a file, or a folder.
    """

    kind: str
    repository: str
    revision: str
    path: str

    @classmethod
    def of(cls, url: str) -> HubPath:
        """Raises ValueError where the URL names none."""
        parts = url.removeprefix("hf://").split("/")
        kind = parts.pop(0) if parts[0] in _HF_KINDS else ""
        if len(parts) < 2 or not parts[0] or not parts[1]:
            raise ValueError(f"{redacted(url)} should be hf://datasets/ORGANISATION/NAME[@REVISION]/PATH")
        name, _, revision = parts[1].partition("@")
        return cls(kind, f"{parts[0]}/{name}", revision.replace("%2F", "/") or "main", "/".join(parts[2:]))

    def url_of(self, path: str) -> str:
        revision = "" if self.revision == "main" else f"@{quote(self.revision, safe='')}"
        return f"hf://{self.kind + '/' if self.kind else ''}{self.repository}{revision}/{path}"

    def download_url(self) -> str:
        """Where the hub gives the file, or says where it is."""
        kind = f"/{self.kind}" if self.kind else ""
        return f"{hub()}{kind}/{self.repository}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"

    def listing_url(self) -> str:
        """Where the hub lists the files below a folder."""
        base = f"{hub()}/api/{self.kind or 'models'}/{self.repository}/tree/{quote(self.revision, safe='')}"
        return f"{base}/{quote(self.path.strip('/'))}?recursive=true"


def hub() -> str:
    """The hub's URL, without a slash at its end."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an http or https URL. Raises ValueError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # which would show a user's name
        raise ValueError("its host or its port cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{redacted(url)} is no http or https URL")
    if port == 0:
        raise ValueError(f"{redacted(url)}: there is no port 0")
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def host_of(scheme: str, host: str, port: int) -> str:
    """What a request calls an origin."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == _PORTS[scheme] else f"{shown}:{port}"
