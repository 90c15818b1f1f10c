"""The data of all clients, and the proof that nobody but the native engine decodes it."""

from __future__ import annotations

import os
from contextlib import contextmanager

import PIL.Image
import pytest
import torch

import fastload
from images import write_folder
from training import CLASSES, IMAGES

# No client may look for a network: there is none.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", WANDB_MODE="disabled")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The networks are too small for more: torch's threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """An ImageFolder of JPEGs to train on."""
    return write_folder(tmp_path_factory.mktemp("train"), classes=CLASSES, images=IMAGES)


@pytest.fixture(scope="session")
def validation_root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("validation"), classes=CLASSES, images=4)


@pytest.fixture
def natively(monkeypatch):
    """A context in which Pillow decodes no JPEG, in this process and in the workers forked from it.

    What frameworks rebuild, copy or hide cannot be asked who made its images; with Pillow out of the way it can only be the engine.
    Pillow finds its decoder by a name made up at run time, so that fastload does not see that this one is replaced: else it would
    leave the images to torch.
    """

    def refuse(*given):
        raise AssertionError("Pillow decoded a file that the native engine should have")

    @contextmanager
    def context():
        with monkeypatch.context() as patch:
            patch.setattr(PIL.Image.core, "jpeg_decoder", refuse)
            yield

    return context


@pytest.fixture
def installed():
    """A context with fastload in the place of torch's loader, whatever name that goes by."""

    @contextmanager
    def context():
        fastload.install()
        try:
            yield
        finally:
            fastload.uninstall()

    return context
