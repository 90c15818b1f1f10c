"""Google's and Azure's stores, through obstore, which knows their protocols and where their credentials are."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import Any

from fastload.remote.addresses import Bucket
from fastload.remote.cloud_credentials import METADATA, expect_credentials, no_credentials
from fastload.remote.store import Attempt, Got, Listed, Store
from fastload.remote.trouble import Trouble, changed
from fastload.reports import needs

# obstore's threads do not exist in a forked process, where its functions would wait for them for ever.
_used_in: int | None = None
_UNUSABLE = ("Unable to decode service account file", "Invalid Access Key", "credential error")


class ObjectStore(Store):
    """A bucket."""

    def __init__(self, bucket: Bucket) -> None:
        global _used_in
        obstore = needs("obstore", "remote", f"{bucket.scheme}://")
        if _used_in not in (None, os.getpid()):
            raise Trouble(
                f"{bucket.scheme}:// was read in the process that this one was forked from, and cannot be in both: give the loader "
                'multiprocessing_context="forkserver" or "spawn"',
                passes=False,
            )
        _used_in = os.getpid()
        self._obstore: Any = obstore
        self._scheme = bucket.scheme
        self._has_read = False
        expect_credentials(bucket.scheme)
        try:
            self._store = needs("obstore.store", "remote").from_url(
                f"{bucket.scheme}://{bucket.name}", retry_config={"max_retries": 0}
            )
        except Exception as error:
            raise self._trouble(error) from None

    def get(self, url: str, first: int, length: int, version: str, attempt: Attempt) -> Got:
        options: dict[str, Any] = {"range": (first, first + length)} if length >= 0 else {}
        if version.startswith('"'):
            options["if_match"] = version
        try:
            found = self._obstore.get(self._store, Bucket.of(url).key, options=options)
            data = found.bytes()
        except Exception as error:
            raise self._trouble(error) from None
        self._has_read = True
        if length >= 0 and len(data) != length:
            raise Trouble(f"{len(data)} of {length} bytes came; the object has {found.meta['size']}", passes=False)
        return Got(data, found.meta["size"], found.meta["e_tag"] or "")

    def list(self, url: str) -> Iterator[Listed]:
        below = Bucket.of(url)
        folder = below.key.rpartition("/")[0]  # obstore lists folders
        try:
            for some in self._obstore.list(self._store, folder or None):
                for one in some:
                    if one["path"].startswith(below.key):
                        yield Listed(below.url_of(one["path"]), one["size"], one["e_tag"] or "")
        except Exception as error:
            raise self._trouble(error) from None

    def _trouble(self, error: Exception) -> Trouble:
        """In short: what obstore says may hold a whole URL with its signature."""
        kind = type(error).__name__
        if isinstance(error, FileNotFoundError):
            return Trouble("no such object", passes=False, number=errno.ENOENT)
        if kind in ("PermissionDeniedError", "UnauthenticatedError"):
            return Trouble("not allowed, with the credentials that there are", passes=False, number=errno.EACCES)
        if kind == "PreconditionError":
            return changed()
        return self._of_credentials(str(error)) or Trouble(f"obstore's {kind}", passes=kind == "GenericError")

    def _of_credentials(self, said: str) -> Trouble | None:
        """obstore has no kind of error for these. Once one has been read, they may come back."""
        if "Account must be specified" in said:
            return no_credentials(self._scheme, "no storage account is named")
        if (found := re.search("Unable to open service account file from [^:]+", said)) is not None:
            return no_credentials(self._scheme, found[0].replace("Unable to open", "cannot open the"))
        if any(what in said for what in _UNUSABLE):
            return no_credentials(
                self._scheme, "the credentials cannot be used: they are not of the form that they should have"
            )
        if "az account get-access-token" in said:
            return no_credentials(self._scheme, "Azure's command `az` gives no token")
        if "token request" not in said or self._has_read:
            return None
        if METADATA in said:
            return no_credentials(
                self._scheme, "there are no credentials, and the metadata server of this machine gives none"
            )
        if re.search("status code: 4(?!08|29)", said):
            return no_credentials(self._scheme, "the credentials are refused where tokens are given for them")
        return None
