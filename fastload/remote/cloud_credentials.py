"""Whether there is anything that obstore could sign with, told before it waits for a metadata server that is not there."""

from __future__ import annotations

import errno
import os
import urllib.error
import urllib.request

from fastload.remote.trouble import Trouble

# Google's and Azure's machines have one there, which gives tokens; obstore waits for each of its answers for 30 seconds.
METADATA = "http://169.254.169.254/"
_METADATA_SECONDS = 5.0
_TRIES = 2

_GOOGLES = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SKIP_SIGNATURE")
_GCLOUDS = ".config/gcloud/application_default_credentials.json"
_NO_KEYS = ("ACCOUNT_NAME", "ENDPOINT", "CONTAINER_NAME", "CONFIG_DIR")  # what an AZURE_ variable's name ends in
_IDENTITIES = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")

_LOOKED_FOR = {
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT (a file), GOOGLE_SERVICE_ACCOUNT_KEY (its content), "
    f"~/{_GCLOUDS} (`gcloud auth application-default login` makes it), and the metadata server of a machine of Google's. "
    "Set one of them; for a public bucket GOOGLE_SKIP_SIGNATURE=true",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, and with it AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_CLIENT_ID "
    "with AZURE_STORAGE_CLIENT_SECRET and AZURE_STORAGE_TENANT_ID, AZURE_USE_AZURE_CLI=true (after `az login`), and the metadata "
    "server of a machine of Azure's. Set them; for a public container the account and AZURE_SKIP_SIGNATURE=true",
}


def no_credentials(scheme: str, why: str) -> Trouble:
    """What to say where there are none, or none that are of use."""
    return Trouble(f"{why}. Looked for: {_LOOKED_FOR[scheme]}", passes=False, number=errno.EACCES)


def expect_credentials(scheme: str) -> None:
    """Raises Trouble where nothing is set, and no metadata server answers."""
    if scheme == "gs":
        home = os.environ.get("HOME", "")
        is_set = any(name.startswith(_GOOGLES) for name in os.environ) or os.path.exists(os.path.join(home, _GCLOUDS))
    else:
        named = [name for name in os.environ if name.startswith("AZURE_")]
        is_set = any(not name.endswith(_NO_KEYS) for name in named) or any(name in os.environ for name in _IDENTITIES)
    if not is_set and not _has_metadata():
        raise no_credentials(scheme, "there are no credentials, and no metadata server answers here")


def _has_metadata() -> bool:
    for _ in range(_TRIES):
        try:
            urllib.request.build_opener().open(METADATA, timeout=_METADATA_SECONDS).close()
        except urllib.error.HTTPError:  # it is for obstore to know what to ask
            return True
        except OSError:
            continue
        return True
    return False
