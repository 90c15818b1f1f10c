"""Several profiles of one process: each tells the epochs that began inside it, whoever else measures them."""

from __future__ import annotations

import json
import sys
import threading
import time

import pytest
from scripts import with_items
from torch.utils.data import DataLoader
from torch.utils.data import dataloader as torch_dataloader

import fastload
from children import run

pytest.importorskip("psutil")


class Items:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        time.sleep(0.002)
        return index


def collate_slowly(items):
    time.sleep(0.05)  # far longer than the items, also where a busy machine wakes each of those late
    return sum(items)


def load(batches, workers=0):
    return list(DataLoader(Items(2 * batches), 2, num_workers=workers, collate_fn=collate_slowly))


def seen(profile):
    """Steps of each loader, and the function that took most of its batches."""
    return [(each["steps"]["count"], next(iter(each["functions"]))) for each in profile.json()["loaders"]]


@pytest.mark.parametrize("workers", [0, 1])
def test_one_inside_another(workers):
    before = torch_dataloader.DataLoader.__iter__
    with fastload.profile() as outer:
        load(8, workers)
        with fastload.profile(experiments=0.2) as inner:
            load(9, workers)
        load(10, workers)
    assert seen(inner) == [(9, "collate_slowly")]
    assert seen(outer) == [(8, "collate_slowly"), (9, "collate_slowly"), (10, "collate_slowly")]
    assert inner.json()["verdict"]["what"] == outer.json()["verdict"]["what"] == "collate_slowly"
    assert inner.json()["loaders"][0]["experiments"] and not outer.json()["loaders"][1]["experiments"]
    assert torch_dataloader.DataLoader.__iter__ is before


def test_the_outer_one_may_end_first():
    outer, inner = fastload.profile(), fastload.profile()
    outer.__enter__()
    inner.__enter__()
    load(8)
    outer.__exit__(None, None, None)
    load(9)
    inner.__exit__(None, None, None)
    assert [count for count, _ in seen(outer)] == [8] and [count for count, _ in seen(inner)] == [8, 9]


def test_an_epoch_that_goes_on_is_the_outer_ones():
    with fastload.profile() as outer:
        for number, _ in enumerate(DataLoader(Items(24), 2)):
            if number == 2:
                inner = fastload.profile()
                inner.__enter__()
        inner.__exit__(None, None, None)
    assert seen(outer)[0][0] == 12 and not inner.json()["loaders"]


def test_threads_have_their_own():
    profiles = [fastload.profile() for _ in range(2)]

    def work(profile):
        with profile:
            load(8)
            together.wait()

    together = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(profile,)) for profile in profiles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for profile in profiles:  # a process's loaders are everybody's that profiles it
        assert {each["steps"]["count"] for each in profile.json()["loaders"]} == {8}


SCRIPT = """
import fastload

if __name__ == "__main__":
    with fastload.profile() as p:
        for _ in range(2):
            list(DataLoader(Items(), 2))
    list(DataLoader(Items(), 3))
    print(json.dumps([[each["steps"]["count"], each["functions"]] for each in p.json()["loaders"]]))
"""
SCRIPT = with_items(24, 0.005, SCRIPT)


@pytest.mark.parametrize("limit", [[], ["--steps", 5]])
def test_inside_a_script_that_is_profiled(tmp_path, limit):
    (tmp_path / "train.py").write_text(SCRIPT)
    options = ["--experiments", 0, *limit, "--json", tmp_path / "it.json"]
    ended = run(sys.executable, "-m", "fastload", "profile", *options, tmp_path / "train.py")
    assert ended.returncode == 0, ended.stderr
    inner = json.loads(ended.stdout)
    assert [count for count, _ in inner] == [12, 12] and all("Items.__getitem__" in names for _, names in inner)
    outer = json.loads((tmp_path / "it.json").read_text())["loaders"]
    assert [each["steps"]["count"] for each in outer] == ([5] if limit else [12, 12, 8])
