"""Every process that a program starts has what ``fastload run`` gave its first one: an environment variable tells it so.

What looks for the variable in a new process is ``fastload-run.pth``, which lies beside an installed fastload. Where there is none,
in a checkout that is merely on the search path, it is ``commands/startup/sitecustomize.py``, and PYTHONPATH leads there.
"""

from __future__ import annotations

import os
import site
import sys

from fastload.installation import VARIABLE, install_with_torch

PTH = "fastload-run.pth"
STARTUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "commands", "startup")


def this_python() -> str:
    """Which Python this is. One with packages of its own, or of another version, is another one, and is left as it is."""
    return f"{sys.hexversion:x} {os.path.realpath(sys.prefix)}"


def begin() -> None:
    """Before the first line of a process: fastload's loader in the place of torch's, if ``fastload run`` wants it here."""
    if os.environ.get(VARIABLE) == this_python():
        install_with_torch()


def for_all_processes() -> None:
    """From now on whoever is started with this environment begins so, as long as it is this Python."""
    os.environ[VARIABLE] = this_python()
    if not _begins_by_itself():
        os.environ["PYTHONPATH"] = with_startup(os.environ.get("PYTHONPATH"))


def with_startup(search: str | None) -> str:
    """A search path that begins with our start-up file."""
    further = [folder for folder in (search or "").split(os.pathsep) if folder != STARTUP]
    return os.pathsep.join([STARTUP, *further] if search else [STARTUP])


def _begins_by_itself() -> bool:
    """Whether Python reads our .pth file when it starts."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return any(os.path.exists(os.path.join(folder, PTH)) for folder in folders)
