"""What the contract's tests are about: each loader, and each kind of data set."""

from __future__ import annotations

import pytest

from contract import DATA_SETS, LOADERS, data_set, write_images


@pytest.fixture(params=LOADERS)
def Loader(request):
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(params=DATA_SETS)
def dataset(request, folder):
    return data_set(request.param, folder)
