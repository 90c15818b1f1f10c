"""The DataLoader contract: shutdown, Ctrl-C, copies, other processes. Each on torch's loader and on fastload's."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import signal
import threading

import pytest
import torch
import torch.utils.data
from torch.utils.data.datapipes.iter import IterableWrapper
from torch.utils.data.datapipes.map import SequenceWrapper

from children import LIMIT, Script
from contract import (
    DATA_SETS,
    OURS_IN_SHORT,
    SIZE,
    assert_in_threads,
    build,
    data_set,
    in_batches,
    indices,
    make_stuck,
    outcomes,
    same,
)
from waiting import interrupted_in, never_read, until, until_asleep

PAIRS = in_batches(range(SIZE), 2)
SIXES = in_batches(range(SIZE), 6)


def belongings() -> tuple[int, int, int]:
    """Threads, open files, child processes."""
    gc.collect()
    children = multiprocessing.active_children()
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), len(children)


def exhausted(loader):
    iterator = iter(loader)
    list(iterator)
    return iterator


def dropped(loader):
    iterator = iter(loader)
    next(iterator)


def broken_out_of(loader):
    for _ in loader:
        break


def never_used(loader):
    iter(loader)


@pytest.mark.parametrize("epoch", [exhausted, dropped, broken_out_of, never_used], ids=lambda epoch: epoch.__name__)
@pytest.mark.parametrize("persistent_workers", [False, True], ids=["", "persistent"])
def test_nothing_is_left(Loader, dataset, epoch, persistent_workers, monkeypatch):
    """No process without an iterator that needs it; and nothing at all without the loader."""
    # torch waits for a worker that was told to end, and leaves one behind that takes longer.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", LIMIT)
    before = None
    for _ in range(2):  # the first time, Python starts helpers of its own
        loader = build(Loader, dataset, batch_size=2, num_workers=1, persistent_workers=persistent_workers)
        children = {child.pid for child in multiprocessing.active_children()}
        kept = epoch(loader)
        if not persistent_workers:
            assert {child.pid for child in multiprocessing.active_children()} <= children
        del loader, kept
        if before is None:
            before = belongings()
        else:  # threads that were told to end do so when it is their turn
            until(lambda: all(now <= then for now, then in zip(belongings(), before, strict=True)))


def test_whoever_works_for_an_iterator_ends_with_the_process(Loader, dataset):
    before, children = set(threading.enumerate()), set(multiprocessing.active_children())
    iterator = iter(build(Loader, dataset, batch_size=2, num_workers=1))
    next(iterator)
    assert all(child.daemon for child in set(multiprocessing.active_children()) - children)
    assert all(thread.daemon for thread in set(threading.enumerate()) - before)


SCRIPT = """
import sys
from pathlib import Path
from contract import build, data_set, make_stuck
from {package} import DataLoader
folder, pipe = map(Path, sys.argv[1:])
"""
ENDS = """
iterators = [
    iter(build(DataLoader, data_set(kind, folder), batch_size=2, num_workers=1, persistent_workers=persistent))
    for kind in ("plain", "images")
    for persistent in (False, True)
]
for iterator in iterators:
    next(iterator)
sys.exit(0)
"""
IS_INTERRUPTED = """
for kind in ("plain", "images"):
    iterator = iter(build(DataLoader, make_stuck(data_set(kind, folder), pipe), batch_size=2, num_workers=1))
    try:
        print("ready", flush=True)
        next(iterator)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    del iterator
"""


def start(Loader, code, folder, pipe) -> Script:
    package = Loader.__module__.split(".")[0].replace("torch", "torch.utils.data")
    code = SCRIPT.format(package=package) + code
    return Script(code, folder, pipe, warnings=[("ignore", "Warning")], session=True)


@pytest.mark.parametrize("Loader", OURS_IN_SHORT)
def test_a_process_may_end_in_mid_epoch(Loader, folder):
    with start(Loader, ENDS, folder, "") as process:
        assert process.communicate() == ("", "") and process.returncode == 0


@pytest.mark.parametrize("Loader", OURS_IN_SHORT)
def test_ctrl_c_at_the_terminal(Loader, folder, tmp_path):
    """It reaches the workers too; one KeyboardInterrupt comes of it, in the process that waits, and nothing is printed."""
    with never_read(tmp_path / "pipe") as pipe, start(Loader, IS_INTERRUPTED, folder, tmp_path / "pipe") as process:
        for _ in DATA_SETS:
            assert process.stdout.readline() == "ready\n"
            pipe.until_read(process.pid)
            until_asleep(process.pid, process.pid)
            os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
        pipe.let_go()
        assert process.communicate() == ("", "") and process.returncode == 0


@pytest.mark.parametrize("num_workers", [0, 1])
def test_ctrl_c(Loader, dataset, tmp_path, num_workers):
    """A wait for a sample ends with it, and the iterator may go on."""
    with never_read(tmp_path / "pipe") as pipe:
        make_stuck(dataset, tmp_path / "pipe")
        iterator = iter(build(Loader, dataset, batch_size=6, num_workers=num_workers))
        with interrupted_in("__next__"), pytest.raises(KeyboardInterrupt):
            next(iterator)
        pipe.let_go()
        assert indices(outcomes(iterator)[-1:]) == SIXES[1:]


# Copies, and other processes


def test_copies(Loader, dataset):
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    loader = build(Loader, dataset, batch_size=5, shuffle=True, num_workers=1, generator=generator)
    expected = list(loader)
    for make in (lambda loader: pickle.loads(pickle.dumps(loader)), copy.copy, copy.deepcopy):
        generator.set_state(state)
        twin = make(loader)
        assert type(twin) is Loader and type(twin.dataset) is type(dataset) and len(twin) == 3
        assert (twin is not loader) and (twin.generator is generator) == (make is copy.copy)
        assert_in_threads(twin)
        assert same(list(twin), expected)


def test_a_loader_in_use_is_not_copied(Loader, dataset):
    """One whose workers persist, that is."""
    loader = build(Loader, dataset, batch_size=6, num_workers=1, persistent_workers=True)
    assert indices(pickle.loads(pickle.dumps(loader))) == SIXES
    list(loader)
    for make in (pickle.dumps, copy.deepcopy):
        with pytest.raises(NotImplementedError):
            make(loader)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_forked_process(Loader, dataset, num_workers):
    """It has the loader, though none of the threads; the parent's iterator does not notice."""
    torch.manual_seed(0)
    loader = build(Loader, dataset, batch_size=2, num_workers=num_workers)
    half_way = iter(loader)
    first = next(half_way)
    torch.manual_seed(0)
    expected = list(loader)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(LIMIT)
            torch.manual_seed(0)
            status = 0 if same(list(loader), expected) else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert indices([first, *half_way]) == PAIRS


def iterate(loaders, path):
    torch.manual_seed(0)
    torch.save([list(loader) for loader in loaders], path)


@pytest.mark.parametrize("Loader", OURS_IN_SHORT)
def test_a_spawned_process(Loader, folder, tmp_path):
    """A loader that was used, and is sent to another process, gives the same batches there."""
    loaders = [build(Loader, data_set(kind, folder), batch_size=5) for kind in DATA_SETS]
    iterate(loaders, tmp_path / "here")
    process = multiprocessing.get_context("spawn").Process(target=iterate, args=(loaders, tmp_path / "there"))
    process.start()
    process.join(LIMIT)
    assert process.exitcode == 0
    for here, there in zip(*(torch.load(tmp_path / name) for name in ("here", "there")), strict=True):
        assert same(here, there)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning")
def test_data_pipes(Loader):
    assert [batch.tolist() for batch in Loader(IterableWrapper(range(5)), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [batch.tolist() for batch in Loader(SequenceWrapper(range(5)), batch_size=2)] == [[0, 1], [2, 3], [4]]
    for shuffle, order in ((False, list(range(9))), (True, None)):
        loader = Loader(IterableWrapper(range(9)).shuffle(), batch_size=None, shuffle=shuffle)
        seen = []
        for _ in range(2):
            torch.manual_seed(4)
            seen.append(list(loader))
        assert seen[0] == seen[1] and sorted(seen[0]) == list(range(9))
        assert (seen[0] == list(range(9))) == (order is not None)
