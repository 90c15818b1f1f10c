"""What all tests share: a process that does not show who started it, or what ran in it before; the folder of real photos."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

import pytest

import cases

# What shells, launchers and schedulers leave in the environment, and some library reads.
STRAY = """
    COLUMNS FORCE_COLOR LANGUAGE LINES LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT MKL_ NO_COLOR OMP_ PY_COLORS
    PYTHONDEVMODE PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONWARNINGS PYTHON_COLORS RANK SLURM_ TORCHELASTIC_ TRITON_INTERPRET WORLD_SIZE
"""
for name in list(os.environ):
    if name.startswith(tuple(STRAY.split())):
        del os.environ[name]

# What fastload keeps for its user, such as entry points of all that tests load, goes with the run.
_CACHES = tempfile.TemporaryDirectory(prefix="fastload-caches-")
os.environ["XDG_CACHE_HOME"] = _CACHES.name

# Signals that whoever started this ignored or blocked. But not SIGINT, which may be meant for others: see children.interruptible.
if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])


def pytest_configure(config: pytest.Config) -> None:
    import hypothesis

    cases.is_long = config.getoption("markexpr") == ""
    # The same cases every time. Others: --hypothesis-profile=random.
    hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
    hypothesis.settings.register_profile("random", deadline=None, database=None, print_blob=True)
    hypothesis.settings.load_profile(config.getoption("hypothesis_profile", None) or "same")
    if hasattr(config, "workerinput"):  # one of several processes, which share the cores
        import torch

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(max(1, cores // config.workerinput["workercount"]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported stays: neither the collector nor a forked process has to walk through it."""
    gc.collect()
    gc.freeze()


# pytest sets the one; importing torchvision, which the first loader may be the first to do, the other.
_NOT_OURS = ("PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR")


def settings() -> dict[str, object]:
    """What a test may set for its process, and must set back."""
    import torch
    import torch.utils.data
    from PIL import Image, ImageFile

    return {
        "folder": os.getcwd(),
        "SIGINT": signal.getsignal(signal.SIGINT),
        "environment": {name: value for name, value in os.environ.items() if name not in _NOT_OURS},
        "torch's threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's loader": (torch.utils.data.DataLoader, vars(torch.utils.data.DataLoader).get("__new__")),
        "Pillow": (Image.open, Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "collector": gc.isenabled(),
        "modules": sys.path[:],
    }


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest):
    """Each test begins with the same generators and leaves the process as it found it, so that their order does not matter."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    if native_transforms := sys.modules.get("fastload.images.native_transforms"):
        native_transforms._here.unproven = 0  # where many transforms were read and seldom used, the next are read later
    before = settings()
    yield
    after = settings()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    if torch.cuda.is_initialized():
        gc.collect()  # a CUDA tensor in a cycle would end a later test's forked process, whose collector frees it
    assert not changed, "left changed (before, after)"


def _photo_folders():
    if "FASTLOAD_PHOTOS" in os.environ:
        yield Path(os.environ["FASTLOAD_PHOTOS"])
    yield Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"


@pytest.fixture(scope="session")
def photo_folder() -> Path:
    """A flat folder of real JPEGs: $FASTLOAD_PHOTOS, or one that lies beside the checkout. Never part of the project."""
    for folder in _photo_folders():
        if any(folder.glob("*.JPEG")):
            return folder
    pytest.skip("no folder of real photos: set FASTLOAD_PHOTOS")
