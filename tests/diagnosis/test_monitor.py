"""fastload monitor: what a loader publishes and to whom, what is made of two looks at it, and when a warning is due."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import os
import shutil
import stat
import time

import pytest
import torch
from click.testing import CliRunner

import fastload
from children import Script, environment
from fastload.commands import main
from fastload.diagnosis.contention_warnings import contention
from fastload.diagnosis.machine_now import MachineNow
from fastload.diagnosis.running_jobs import Job, between, find_jobs
from fastload.reports.job_file import EVERY_SECONDS, JobFile, own_job_file
from images import write_folder
from waiting import until

GIB = 1 << 30


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """The user's runtime directory."""
    folder = tmp_path / "run"
    folder.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


class Figures:
    def __init__(self, number):
        self.number = number

    def figures(self):
        return {"id": self.number}


def written(file, now=1e9):
    """What a JobFile writes."""
    file._next = 0.0
    file.tick(now)
    return json.loads(file._path.read_text()) if file._path else None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_its_users_alone_and_whole(runtime, umask):
    before = os.umask(umask)
    try:
        file, loader = JobFile(), Figures(7)
        file.watch(loader.figures)
        assert written(file)["loaders"] == [{"id": 7}]
        assert written(file)["pid"] == os.getpid()
    finally:
        os.umask(before)
    assert stat.S_IMODE(file._path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file._path.parent.stat().st_mode) == 0o700
    assert [path.name for path in file._path.parent.iterdir()] == [f"{os.getpid()}.json"]


def test_it_is_written_four_times_a_second_at_most(runtime):
    file, loader = JobFile(), Figures(7)
    file.watch(loader.figures)
    began = file._next
    file.tick(began - 0.001)
    assert file._path is None  # short-lived processes leave nothing
    counts, now = [], began
    while now < began + 2:
        file.tick(now)
        counts.append(file._path.stat().st_ino)
        now += 0.01
    changes = sum(before != after for before, after in itertools.pairwise(counts))
    assert 1 <= changes <= 2 / EVERY_SECONDS


def test_a_folder_that_is_taken_away_is_made_anew(runtime, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    file, loader = JobFile(), Figures(7)
    file.watch(loader.figures)
    written(file)
    shutil.rmtree(runtime / "fastload")
    assert written(file) is None
    assert written(file)["loaders"] == [{"id": 7}]
    shutil.rmtree(runtime)
    assert [written(file), written(file)] == [None, None]
    assert file._next == float("inf")


def test_loaders_that_are_gone_are_not_told_of(runtime):
    file, kept, dropped = JobFile(), Figures(1), Figures(2)
    file.watch(kept.figures)
    file.watch(dropped.figures)
    file.watch(kept.figures)
    assert [loader["id"] for loader in written(file)["loaders"]] == [1, 2]
    del dropped
    gc.collect()
    assert [loader["id"] for loader in written(file)["loaders"]] == [1]


@pytest.mark.parametrize("what", ["open to others", "a link", "a file", "full"])
def test_where_it_cannot_be_private_there_is_none(runtime, tmp_path, monkeypatch, what):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    folder = runtime / "fastload"
    if what == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif what == "a link":
        (tmp_path / "elsewhere").mkdir(0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif what == "a file":
        folder.touch()
    else:
        folder.mkdir(0o700)
        (folder / f"{os.getpid()}.new").mkdir()
    file, loader = JobFile(), Figures(7)
    file.watch(loader.figures)
    assert written(file) is None
    assert not list(tmp_path.rglob("*.json"))
    file.tick(1e12)  # nor does it try again


def test_files_of_processes_that_are_no_more_are_swept_away(runtime):
    file, loader = JobFile(), Figures(7)
    file.watch(loader.figures)
    mine = written(file)
    folder = file._path.parent
    gone = {**mine, "pid": 2**22 + 5}
    reused = {**mine, "start_time": "5"}
    foreign = {**gone, "namespace": "pid:[1]"}
    for name, job in (("gone", gone), ("reused", reused), ("foreign", foreign)):
        (folder / f"{name}.json").write_text(json.dumps(job))
        (folder / f"{name}.json").chmod(0o600)
    (folder / "broken.json").write_text("{")
    assert os.getpid() in [job.pid for job in find_jobs()]
    assert sorted(path.stem for path in folder.iterdir()) == sorted(["broken", "foreign", str(os.getpid())])


def test_a_forked_process_has_a_file_of_its_own(runtime):
    file, loader = JobFile(), Figures(7)
    file.watch(loader.figures)
    ours = written(file)
    with file._busy:  # another thread is at it while this one forks
        child = os.fork()
        if child == 0:
            try:
                theirs = Figures(8)
                file.watch(theirs.figures)
                job = written(file)
                right = (
                    job["pid"] == os.getpid() and job["loaders"] == [{"id": 8}] and file._path.stem == str(os.getpid())
                )
                os._exit(0 if right else 3)
            except BaseException:
                os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert json.loads(file._path.read_text()) == ours


def test_every_kind_of_loader_counts_its_batches(tmp_path, runtime):
    """Native threads are counted in tests/test_loader.py."""
    root = write_folder(tmp_path / "images", classes=1, images=6)
    files = sorted((root / "class0").iterdir())
    for loader, batches, samples in (
        (fastload.DataLoader(torch.arange(10), batch_size=4), 3, 10),
        (fastload.DataLoader(torch.arange(10), batch_size=4, num_workers=1, persistent_workers=True), 3, 10),
        (fastload.DataLoader([{"a": "x", "b": 1}] * 5, batch_size=2), 3, 5),
        (fastload.DataLoader([1, 2], batch_size=None), 2, 2),
        (fastload.DataLoader(fastload.ImageFiles(files, transform=_half), batch_size=4), 2, 6),
    ):
        for _ in range(2):
            list(loader)
            stats = loader.stats()
            assert (stats["batches"], stats["images"]) == (batches, samples)
            assert 0 < stats["wait_seconds"] <= stats["seconds"]
        figures = loader._published()
        assert figures["ended"] and figures["expected_batches"] in (batches, None)
        json.dumps(figures)


def _half(image):
    return torch.zeros(3) / 2


JOB = """
    import sys, time, torch, fastload
    import torchvision.transforms as T
    from torchvision.datasets import ImageFolder
    from pathlib import Path

    data = ImageFolder(sys.argv[1], T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
    train = fastload.DataLoader(data, batch_size=4, num_workers=2)
    valid = fastload.DataLoader(torch.arange(6), batch_size=2)
    while not Path(sys.argv[2]).exists():
        for batch in train:
            time.sleep(0.02)
        for batch in valid:
            pass
"""


def test_a_running_job_on_one_page_and_gone_when_it_ends(tmp_path, runtime):
    write_folder(tmp_path / "images", classes=2, images=12)
    with Script(JOB, tmp_path / "images", tmp_path / "end", env=environment(XDG_RUNTIME_DIR=str(runtime))) as job:
        until(lambda: find_jobs(job.pid) and len(find_jobs(job.pid)[0].loaders) == 2, "a job that publishes")
        looked = CliRunner().invoke(main, ["monitor", str(job.pid), "--json", "--interval", "0.8"])
        assert looked.exit_code == 0, looked.output
        snapshot = json.loads(looked.output)
        (seen,) = snapshot["jobs"]
        assert snapshot["schema"] == 1 and seen["pid"] == job.pid and len(seen["loaders"]) == 2
        train = next(loader for loader in seen["loaders"] if loader["dataset"] == "ImageFolder")
        assert (train["mode"], train["batch_size"], train["expected_batches"]) == ("native", 4, 6)
        if train["batches"] and train["compute"] is not None:
            assert train["compute"] >= 0.015 and train["wait"] >= 0
        assert snapshot["machine"]["seconds"] >= 0.8 and len(snapshot["machine"]["cores"]) >= 1
        once = CliRunner().invoke(main, ["monitor", str(job.pid), "--once", "--interval", "0.2"])
        assert once.exit_code == 0, once.output
        assert (
            str(job.pid) in once.output
            and "ImageFolder x 4, native, 2 threads" in once.output
            and "memory" in once.output
        )
        (tmp_path / "end").touch()
        assert job.wait() == 0
    assert list((runtime / "fastload").glob("*.json")) in ([], [own_job_file()._path])
    none = CliRunner().invoke(main, ["monitor", str(os.getpid()), "--once"])
    assert none.exit_code == 1 or str(os.getpid()) in none.output


def test_no_job_and_no_process():
    assert CliRunner().invoke(main, ["monitor", str(2**22 + 7)]).exit_code == 1
    assert CliRunner().invoke(main, ["monitor", "0"]).exit_code == 2


PARTS = {"batches": 10, "images": 80, "seconds": 5.0, "wait_seconds": 1.0, "stages": {"read": 1.0, "decode": 3.0}}
SETTINGS = {"id": 1, "dataset": "D", "batch_size": 8, "mode": "native", "num_workers": 2, "threads": 2, "epoch": 3}
QUEUE = {"ended": False, "expected_batches": 50, "ready_batches": 1, "asked_batches": 4, "errors": 0}


def job(**changed):
    return Job(1, None, time.time(), ({**SETTINGS, **QUEUE, **PARTS, **changed},))


def test_what_happened_between_two_looks():
    later = job(batches=30, images=240, seconds=9.0, wait_seconds=2.0, stages={"read": 1.5, "decode": 4.5})
    (now,) = between(job(), later)
    assert (now.images_per_second, now.wait, now.compute) == (40.0, 0.05, 0.15)
    assert now.stages == {"read": 0.25, "decode": 0.75}
    (since_the_epoch_began,) = between(job(epoch=2), job())
    assert (since_the_epoch_began.images_per_second, since_the_epoch_began.wait) == (16.0, 0.1)
    assert between(None, job())[0].images_per_second == 16.0
    (nothing,) = between(job(), job())
    assert nothing.images_per_second is nothing.wait is nothing.compute is None


CALM = MachineNow(
    1.0,
    (0.5, 0.5),
    0.0,
    2.0,
    1.0,
    None,
    12 * GIB,
    16 * GIB,
    0.0,
    0.0,
    0.0,
    ("sda", 0.2),
    {"cpu": 0.1},
    8 * GIB,
    8 * GIB,
)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"throttled": 0.4}, "CPU quota"),
        ({"runnable": 5.0}, "run queue: 5.0 threads want 2 cores"),
        ({"steal": 0.2}, "steal"),
        ({"swapped_pages": 300.0}, "swap: 300 pages"),
        ({"memory_available": GIB // 2}, "memory: 512 MiB"),
        ({"pressure": {"io": 0.7}}, "waited for io 70%"),
        ({"pressure": {"memory": 0.2}}, "waited for memory"),
        ({"pressure": {"cpu": 0.9}}, "waited for cpu"),
        ({"busiest_disk": ("sda", 0.97)}, "disk: sda was busy 97%"),
        ({"shm_free": 10 << 20, "shm_size": 1 << 30}, "/dev/shm: 10.0 MiB"),
    ],
)
def test_a_warning_where_contention_begins(changed, word):
    assert contention(CALM) == []
    (said,) = contention(dataclasses.replace(CALM, **changed))
    assert word in said
