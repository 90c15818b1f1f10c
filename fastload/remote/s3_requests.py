"""Requests to S3, and to what speaks as S3 does: where they go, and how they are signed (AWS Signature Version 4).

Credentials come from AWS's usual places: the environment, ``~/.aws/credentials``, and whatever else botocore knows, where it is
installed (profiles that assume roles, SSO, metadata of machines and containers). They are never written anywhere.
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from fastload.remote.addresses import host_of, origin

_KEYS_SECONDS = 5.0  # for so long they are not looked for again
_AS_IT_IS = re.compile(r"[A-Za-z0-9/_.~-]*").fullmatch  # need not be quoted
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Keys:
    """Of one moment."""

    access: str
    secret: str = field(repr=False)
    token: str | None = field(repr=False, default=None)


class Credentials:
    """Where the keys come from; None: requests are not signed. Any thread may call."""

    def __init__(self) -> None:
        self._session: Any = None
        self._lock = threading.Lock()
        self._found = False
        self._known: tuple[float, Keys | None] = (0.0, None)

    def keys(self) -> Keys | None:
        known = self._known
        if time.monotonic() >= known[0]:
            known = self._known = time.monotonic() + _KEYS_SECONDS, self._now()
        return known[1]

    def are_known(self) -> bool:
        """Whether nobody has to be asked for them now."""
        return time.monotonic() < self._known[0]

    def _now(self) -> Keys | None:
        if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true"):
            return None
        access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if access and secret:
            return Keys(access, secret, os.environ.get("AWS_SESSION_TOKEN"))
        with self._lock:
            if not self._found:
                self._session = _of_botocore()
                self._found = True
        if self._session is None:
            return _of_file()
        now = self._session.get_frozen_credentials()  # which asks anew before they end
        return Keys(now.access_key, now.secret_key, now.token)


def _of_botocore() -> Any:
    try:
        import botocore.session
    except ImportError:
        return None
    return botocore.session.get_session().get_credentials()


def _of_file() -> Keys | None:
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.expanduser("~/.aws/credentials")
    found = configparser.RawConfigParser()
    try:
        found.read(path)
        mine = found[os.environ.get("AWS_PROFILE", "default")]
        return Keys(mine["aws_access_key_id"], mine["aws_secret_access_key"], mine.get("aws_session_token"))
    except (OSError, KeyError, configparser.Error):
        return None


class S3Endpoint:
    """Where a bucket is.

    Attributes:
        region: as the environment says, until the server says another.
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        said = os.environ.get
        self._given = (said("AWS_ENDPOINT_URL_S3") or said("AWS_ENDPOINT_URL") or said("AWS_ENDPOINT") or "").rstrip(
            "/"
        )
        self.region = said("AWS_REGION") or said("AWS_DEFAULT_REGION") or "us-east-1"
        virtual = said("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("1", "true")
        self._by_path = not virtual if self._given else "." in bucket  # a certificate holds for one label
        self._placed: tuple[str, tuple[str, tuple[str, str, int], str, str]] | None = None  # of a region
        self._second: _Second | None = None

    def base(self) -> str:
        """The URL before ``/key``."""
        return self._place()[0]

    def origin(self) -> tuple[str, str, int]:
        return self._place()[1]

    def target_of(self, key: str) -> str:
        """The path of a key, quoted."""
        return f"{self._place()[3]}/{key if _AS_IT_IS(key) else quote(key, safe='/-_.~')}"

    def _place(self) -> tuple[str, tuple[str, str, int], str, str]:
        """The URL before the key, its origin, its host as it is signed, and its path."""
        if self._placed is None or self._placed[0] != self.region:
            given = self._given or f"https://s3.{self.region}.amazonaws.com"
            scheme, _, host = given.partition("://")
            base = f"{given}/{self.bucket}" if self._by_path else f"{scheme}://{self.bucket}.{host}"
            where = origin(base)
            self._placed = self.region, (base, where, host_of(*where), urlsplit(base).path)
        return self._placed[1]

    def signed(self, target: str, keys: Keys | None) -> str:
        """The lines of headers that sign a GET of this path and query, now. A query is sorted, and quoted as S3 wants it."""
        if keys is None:
            return ""
        seconds = int(time.time())
        second = self._second
        if second is None or second.seconds != seconds or second.keys is not keys or second.region != self.region:
            second = self._second = self._second_of(seconds, keys)
        path, _, query = target.partition("?")
        request = hashlib.sha256(f"GET\n{path}\n{query}{second.request}".encode()).hexdigest()
        return f"{second.lines}{second.mac.of(request.encode())}\r\n"

    def _second_of(self, seconds: int, keys: Keys) -> _Second:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        headers = {"host": self._place()[2], "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        names = ";".join(headers)
        signed = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        del headers["host"]
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n"
        return _Second(
            seconds,
            keys,
            self.region,
            f"\n{signed}\n{names}\n{_EMPTY}",
            _Hmac(self._signing_key(keys.secret, now[:8]), text.encode()),
            f"{lines}authorization: AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature=",
        )

    def _signing_key(self, secret: str, day: str) -> bytes:
        made = f"AWS4{secret}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            made = hmac.digest(made, part.encode(), "sha256")
        return made


@dataclass(frozen=True)
class _Second:
    """What all signatures within a second have in common.

    Attributes:
        request: behind the path and the query, as it is signed.
        mac: of the request's hash and what is signed before it.
        lines: of headers, before the signature.
    """

    seconds: int
    keys: Keys
    region: str
    request: str
    mac: _Hmac
    lines: str


class _Hmac:
    """HMAC-SHA-256 (RFC 2104) with one key of at most 64 bytes, of texts that begin alike. ``hmac.digest`` lets go of Python's lock
    each time, and has it back 0.3 ms later where many threads read."""

    def __init__(self, key: bytes, begin: bytes) -> None:
        padded = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + begin)
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def of(self, text: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest()


def query_of(parameters: dict[str, str]) -> str:
    """As it is signed."""
    return "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(parameters.items()))
