"""Each scenario: a job, what is done to the machine, and the verdict that it must get."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.diagnosis import machinery

MIB = 2**20


@dataclass(frozen=True)
class Scenario:
    """One bottleneck.

    Attributes:
        name: its own.
        job: of ``job.py``.
        kind, what: the verdict's; ``what`` need only be contained.
        data: which files it reads: "", "photos", "large", "small" or "one_large".
        around: prepares the machine; gives the groups to run in and the folder of the data.
        ours: also with our loader.
    """

    name: str
    job: str
    kind: str
    what: str = ""
    data: str = ""
    around: Callable[[Path], contextlib.AbstractContextManager[tuple[list[Path], Path]]] | None = None
    ours: bool = False


@contextlib.contextmanager
def _cold(folder: Path, **limits: int) -> Iterator[tuple[list[Path], Path]]:
    with machinery.limited(folder, **limits) as groups:
        machinery.cool(folder)
        yield groups, folder


@contextlib.contextmanager
def _quota(folder: Path) -> Iterator[tuple[list[Path], Path]]:
    with machinery.limited(folder, cores=0.3) as groups:
        yield groups, folder


@contextlib.contextmanager
def _memory(folder: Path) -> Iterator[tuple[list[Path], Path]]:
    with machinery.limited(folder, memory=700 * MIB, bytes_per_s=60 * MIB) as groups:
        machinery.cool(folder)
        yield groups, folder


@contextlib.contextmanager
def _far(folder: Path) -> Iterator[tuple[list[Path], Path]]:
    with machinery.far_away(folder, 0.02) as mount:
        yield [], mount


SCENARIOS = (
    Scenario("a model that is the bottleneck", "compute", "compute"),
    Scenario("the same, photos", "photos_computing", "compute", data="photos", ours=True),
    Scenario("a balanced job", "balanced", "balanced"),
    Scenario("few workers", "few_workers", "too_few_workers"),
    Scenario("no workers", "no_workers", "too_few_workers"),
    Scenario("too many workers", "many_workers", "too_many_workers"),
    Scenario("too many threads in workers", "many_threads", "too_many_workers"),
    Scenario("a CPU quota", "photos", "too_many_workers", "quota", data="photos", around=_quota, ours=True),
    Scenario("decoding", "photos_often", "decode", data="photos", ours=True),
    Scenario("a heavy transform", "slow_transform", "python", "Slow", data="photos", ours=True),
    Scenario("one slow transform among fast ones", "one_slow_transform", "python", "Slow", data="photos", ours=True),
    Scenario("a slow __getitem__", "slow_items", "python", "Items.__getitem__"),
    Scenario("a slow collate", "slow_collate", "python", "slow_collate"),
    Scenario("a pool inside __getitem__", "nested_pool", "nested_pool"),
    Scenario("workers that start slowly, each epoch", "slow_start", "epoch_start"),
    Scenario("a slow sampler", "slow_sampler", "main_thread", "sampler"),
    Scenario("one slow sample among many", "one_slow", "one_slow_sample"),
    Scenario("one slow photo among many", "photos_often", "one_slow_sample", "huge", data="one_large", ours=True),
    Scenario("huge samples through shared memory", "huge", "shm"),
    Scenario(
        "a throttled disk", "files", "storage_bandwidth", data="large", around=lambda f: _cold(f, bytes_per_s=20 * MIB)
    ),
    Scenario(
        "a throttled disk, photos",
        "photos",
        "storage_bandwidth",
        data="more_photos",
        around=lambda f: _cold(f, bytes_per_s=5 * MIB),
        ours=True,
    ),
    Scenario("throttled requests", "files", "storage_latency", data="small", around=lambda f: _cold(f, reads_per_s=30)),
    Scenario("a network's latency", "files", "storage_latency", data="small", around=_far),
    Scenario("a network's latency, photos", "photos", "storage_latency", data="more_photos", around=_far, ours=True),
    Scenario(
        "a cold cache, then a warm one",
        "files_again",
        "cold_cache",
        data="large",
        around=lambda f: _cold(f, bytes_per_s=20 * MIB),
    ),
    Scenario("memory that is too small for the files", "files_again", "memory", data="many_large", around=_memory),
    Scenario("one slow rank of two", "slow_rank", "one_slow_rank", "rank 1"),
    Scenario("a run that is too short", "short", "not_enough_data"),
)


def rows_of(only: str = "", part: str = "0/1") -> list[tuple[Scenario, str]]:
    """Scenarios with a loader each, "torch" or "ours": those whose names contain ``only``, of which the i-th of n parts."""
    which, parts = (int(number) for number in part.split("/"))
    rows = [(each, loader) for each in SCENARIOS for loader in (("torch", "ours") if each.ours else ("torch",))]
    return [(each, loader) for each, loader in rows if only in each.name][which::parts]
