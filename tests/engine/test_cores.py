"""How many cores are this process's own: affinity, the quotas of control groups, the ranks of the machine."""

from __future__ import annotations

import os

import pytest
import torch
import torchvision.transforms as v1

import fastload
from fastload.engine.cpu_share import share_of_cores
from fastload.machine import usable_cores
from images import write_folder

CORES = 16
V1 = "30 23 0:27 {seen} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
V2 = "29 23 0:26 {seen} /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
OTHERS = (
    "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "31 23 0:28 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset",
)


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(CORES)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


def machine(root, memberships, mounts, files):
    """A file system with these control groups; ``files``: text by path."""
    for path, text in {
        "proc/self/cgroup": "\n".join(memberships) + "\n",
        "proc/self/mountinfo": "\n".join([*OTHERS, *mounts]) + "\n",
        **files,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    return root


def version_2(root, path, limits, seen="/"):
    """``limits``: of the groups, by their folder below the mount."""
    files = {os.path.join("sys/fs/cgroup", group, "cpu.max"): text for group, text in limits.items()}
    return machine(root, [f"0::{path}"], [V2.format(seen=seen)], files)


def version_1(root, path, limits, seen="/"):
    files = {}
    for group, (quota, period) in limits.items():
        folder = os.path.join("sys/fs/cgroup/cpu,cpuacct", group)
        files[os.path.join(folder, "cpu.cfs_quota_us")] = str(quota)
        files[os.path.join(folder, "cpu.cfs_period_us")] = str(period)
    memberships = ["7:memory:/elsewhere", f"4:cpu,cpuacct:{path}", "3:cpuset:/other", "1:name=systemd:/"]
    return machine(root, memberships, [V1.format(seen=seen)], files)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000", CORES),
        ("400000 100000", 4),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("100000 50000", 2),
        ("9900000 100000", CORES),
        ("nonsense", CORES),
        ("300000 0", CORES),
    ],
)
def test_a_quota_of_version_2(tmp_path, text, cores):
    assert usable_cores(version_2(tmp_path, "/job", {"job": text})) == cores


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [(-1, 100000, CORES), (400000, 100000, 4), (150000, 100000, 2), (1000, 100000, 1), (0, 100000, CORES)],
)
def test_a_quota_of_version_1(tmp_path, quota, period, cores):
    assert usable_cores(version_1(tmp_path, "/job", {"job": (quota, period)})) == cores


def test_of_groups_in_groups_the_smallest_counts(tmp_path):
    limits = {"a": "600000 100000", "a/b": "max 100000", "a/b/c": "800000 100000"}
    assert usable_cores(version_2(tmp_path / "2", "/a/b/c", limits)) == 6
    limits = {"": (-1, 100000), "a": (300000, 100000), "a/b": (500000, 100000)}
    assert usable_cores(version_1(tmp_path / "1", "/a/b", limits)) == 3
    assert usable_cores(version_2(tmp_path / "other", "/b", {"a": "100000 100000"})) == CORES


def test_in_a_container_the_groups_begin_at_the_mount(tmp_path):
    """Where the path is the host's, and where the container has a name space of its own."""
    assert usable_cores(version_1(tmp_path / "1", "/docker/f00", {"": (200000, 100000)}, seen="/docker/f00")) == 2
    inner = version_1(tmp_path / "inner", "/docker/f00/job", {"job": (200000, 100000)}, seen="/docker/f00")
    assert usable_cores(inner) == 2
    assert usable_cores(version_2(tmp_path / "2", "/", {"": "700000 100000"})) == 7
    assert usable_cores(version_2(tmp_path / "outside", "/host/f00", {"": "700000 100000"}, seen="/other")) == 7


def test_both_versions_side_by_side(tmp_path):
    unified = V2.format(seen="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    folder = "sys/fs/cgroup/cpu,cpuacct/job"
    files = {f"{folder}/cpu.cfs_quota_us": "500000", f"{folder}/cpu.cfs_period_us": "100000"}
    root = machine(tmp_path, ["4:cpu,cpuacct:/job", "0::/job"], [V1.format(seen="/"), unified], files)
    assert usable_cores(root) == 5


def test_where_nothing_is_told_affinity_counts(tmp_path):
    assert usable_cores(tmp_path) == CORES
    assert usable_cores(machine(tmp_path, [], [], {})) == CORES


def test_a_mount_point_with_a_space(tmp_path):
    mount = V2.format(seen="/").replace("/sys/fs/cgroup", "/sys/fs/my\\040groups")
    assert usable_cores(machine(tmp_path, ["0::/"], [mount], {"sys/fs/my groups/cpu.max": "300000 100000"})) == 3


@pytest.mark.parametrize(
    ("ranks", "share"), [("4", 4), ("3", 5), ("100", 1), ("0", CORES), ("", CORES), ("many", CORES), ("²", CORES)]
)
def test_ranks_divide_what_is_usable(ranks, share, monkeypatch):
    monkeypatch.setattr("fastload.engine.cpu_share.usable_cores", lambda: CORES)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    assert share_of_cores() == share


def test_a_loader_takes_its_share(tmp_path, monkeypatch):
    """Without ``num_workers`` and ``threads``; where either is given, it counts."""
    monkeypatch.setattr("fastload.engine.cpu_share.usable_cores", lambda: 12)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    transform = v1.Compose([v1.Resize((8, 8)), v1.ToTensor()])
    dataset = fastload.ImageFolder(write_folder(tmp_path, classes=1, images=4), transform)
    assert "in 3 threads of this process" in fastload.DataLoader(dataset).explain()
    assert "in 2 threads of this process" in fastload.DataLoader(dataset, num_workers=2).explain()
    assert "in 5 threads of this process" in fastload.DataLoader(dataset, threads=5).explain()
    batch = next(iter(fastload.DataLoader(dataset, batch_size=4)))
    expected = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))
    assert torch.equal(batch[0], expected[0])
