"""The loader alone without its costliest transform: which one that is, and that what follows it has what it gives."""

from __future__ import annotations

import time

import PIL.Image
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, RandomResizedCrop, ToTensor, v2

import fastload
from fastload.diagnosis.function_experiment import without_costliest

ASLEEP_S = 0.05


class Asleep:
    def __call__(self, value):
        time.sleep(ASLEEP_S)
        return value + 100


class Next:
    def __call__(self, value):
        assert value >= 100
        return value


def quick(value):
    return value


class Numbers(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return self.transform(torch.tensor(float(index)))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", [Compose, v2.Compose])
def test_the_costliest_transform_is_free_and_those_behind_it_have_what_it_gave(workers, kind):
    data = Subset(Numbers(kind([quick, Asleep(), Next()])), list(range(16)))
    found = without_costliest(DataLoader(data, batch_size=4, num_workers=workers), 2.0)
    assert found["function"] == "Asleep" and found["workers"] == 1
    assert found["rate"] > 2 / ASLEEP_S  # one worker that sleeps gives no more than 1 / ASLEEP_S


def test_a_transform_that_stands_alone_is_free_too():
    found = without_costliest(DataLoader(Numbers(Asleep()), batch_size=4), 1.0)
    assert found["function"] == "Asleep" and found["rate"] > 2 / ASLEEP_S


class Itself(Numbers):
    def __getitem__(self, index):
        time.sleep(0.01)
        return self.transform(torch.tensor(float(index)))


def test_nothing_is_replaced_where_no_transform_is_costly_or_two_have_the_name():
    assert without_costliest(DataLoader(Itself(quick), batch_size=4), 0.5) is None
    assert without_costliest(DataLoader(Numbers(Compose([Asleep(), Asleep()])), batch_size=4), 0.5) is None
    assert without_costliest(DataLoader(list(range(16))), 0.5) is None


def test_native_threads_run_no_transform_that_could_be_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(8):
        PIL.Image.new("RGB", (64, 64)).save(tmp_path / "a" / f"{number}.jpg")
    data = ImageFolder(tmp_path, Compose([RandomResizedCrop(48), ToTensor()]))
    native = fastload.DataLoader(data, batch_size=4, num_workers=1)
    fastload.require_native(native)
    assert without_costliest(native, 0.5) is None
