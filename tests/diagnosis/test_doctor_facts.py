"""Where fastload doctor's facts come from: files of the kernel as they are in both versions of control groups, and a real look."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from children import environment, run
from fastload.commands import main
from fastload.diagnosis import examination, gather, storage_probe, timed_reads
from fastload.diagnosis.page_cache import drop, resident_share
from fastload.diagnosis.read_machine import read_memory, read_nodes, throttled_share
from fastload.diagnosis.read_storage import list_files, mounted, read_data_set
from fastload.diagnosis.storage_probe import probe_reads
from images import write_folder

MIB = 1 << 20
V1 = "36 23 0:30 / /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}"
V2 = "29 23 0:26 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw"


def tree(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")
    return root


def version_1(root, controller, files):
    groups = {f"sys/fs/cgroup/{controller}/job/{name}": text for name, text in files.items()}
    return tree(
        root, {"proc/self/cgroup": f"5:{controller}:/job", "proc/self/mountinfo": V1.format(name=controller), **groups}
    )


def version_2(root, files):
    groups = {f"sys/fs/cgroup/job/{name}": text for name, text in files.items()}
    return tree(root, {"proc/self/cgroup": "0::/job", "proc/self/mountinfo": V2, **groups})


@pytest.mark.parametrize("version", [1, 2])
def test_a_limit_of_memory_and_the_page_cache_in_it(tmp_path, version):
    used, cache, limit = 90 * MIB, 30 * MIB, 100 * MIB
    if version == 1:
        stat = f"inactive_file 7\ntotal_inactive_file {cache}"
        files = {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": stat}
        root = version_1(tmp_path, "memory", files)
    else:
        root = version_2(
            tmp_path, {"memory.max": limit, "memory.current": used, "memory.stat": f"inactive_file {cache}"}
        )
    memory = read_memory(root)
    assert (memory.limit, memory.available) == (limit, 40 * MIB)


@pytest.mark.parametrize("version", [1, 2])
def test_no_limit_of_memory(tmp_path, version):
    if version == 1:
        root = version_1(tmp_path, "memory", {"memory.limit_in_bytes": 9223372036854771712, "memory.usage_in_bytes": 5})
    else:
        root = version_2(tmp_path, {"memory.max": "max", "memory.current": 5})
    assert read_memory(root).limit is None


def test_periods_in_which_the_quota_was_used_up(tmp_path):
    stat = {"cpu.stat": "nr_periods 200\nnr_throttled 50\nthrottled_time 12"}
    assert throttled_share(version_1(tmp_path / "1", "cpu", stat)) == 0.25
    assert throttled_share(version_2(tmp_path / "2", stat)) == 0.25
    assert throttled_share(version_2(tmp_path / "3", {"cpu.stat": "usage_usec 5"})) is None


def test_nodes(tmp_path):
    node = "sys/devices/system/node/node{}/cpulist"
    assert read_nodes(tree(tmp_path, {node.format(0): "0-2,6", node.format(1): "3-5", node.format(10): ""})) == {
        0: {0, 1, 2, 6},
        1: {3, 4, 5},
        10: frozenset(),
    }


def test_where_a_folder_lies(tmp_path):
    data = tmp_path / "my data"
    data.mkdir()
    where = str(data.resolve()).replace(" ", "\\040")
    mounts = [
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda1 rw",
        f"40 27 0:50 / {where} rw,relatime - overlay overlay rw,lowerdir=/a:/b:/c,upperdir=/d",
        f"41 27 0:51 / {where}base rw,relatime - nfs4 host:/x rw",
    ]
    root = tree(tmp_path / "root", {"proc/self/mountinfo": "\n".join(mounts)})
    assert mounted(str(data), root) == ("overlay", "overlay", "rw,lowerdir=/a:/b:/c,upperdir=/d", "0:50")
    assert mounted(str(tmp_path), root)[::3] == ("ext4", "254:0")
    (data / "a.jpg").write_bytes(b"12345")
    found = read_data_set(str(data), [str(data / "a.jpg")], True, root)
    assert (found.files, found.size, found.layers, found.rotational) == (1, 5, 3, None)


@pytest.mark.parametrize("on", ["partition", "disk"])
def test_a_turning_disk(tmp_path, on):
    """A partition's folder lies in its disk's."""
    root = tree(
        tmp_path, {"proc/self/mountinfo": "27 1 8:1 / / rw - ext4 /dev/sda1 rw", "sys/block/sda/queue/rotational": "1"}
    )
    there = root / "sys/block/sda"
    if on == "partition":
        there = there / "sda1"
        there.mkdir()
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block/8:1").symlink_to(there)
    assert read_data_set(str(tmp_path), [], True, root).rotational is True


def test_files_are_found_and_read_out_of_the_page_cache(tmp_path):
    write_folder(tmp_path / "data", classes=3, images=10)
    (tmp_path / "data" / "class0" / "notes.txt").write_text("no image")
    files, is_whole = list_files(str(tmp_path / "data"), 60.0)
    assert len(files) == 30 and is_whole
    reads = probe_reads(files, 3.0)
    assert reads.mean_size == sum(map(os.path.getsize, files)) / 30
    assert 0 < reads.random_p50 <= reads.random_p99
    assert reads.sequential > 0 and reads.at_once > 0
    assert probe_reads(files[:2], 1.0) is None


def test_what_is_read_is_in_the_page_cache(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    os.sync()
    assert resident_share(str(path)) == 1.0
    drop(str(path))
    assert resident_share(str(path)) in (0.0, 1.0)  # where the file system is memory, it stays
    (tmp_path / "empty").touch()
    assert resident_share(str(tmp_path / "empty")) is None


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("not for you")

    monkeypatch.setattr(examination, "read_cores", refuse)
    monkeypatch.setitem(sys.modules, "psutil", None)
    facts = gather(str(tmp_path), 0.2)
    assert {one.what: one.why for one in facts.unreadable}["cores"] == "not for you"
    assert {one.what for one in facts.unreadable} == {"cores", "memory", "files of the data set"}
    assert "fastload-torch[profile]" in next(one.why for one in facts.unreadable if one.what == "memory")
    assert facts.cores is None and facts.open_files is not None and facts.software is not None


def test_a_real_look(tmp_path):
    write_folder(tmp_path / "data", classes=2, images=16)
    ran = CliRunner().invoke(main, ["doctor", "--data", str(tmp_path / "data"), "--seconds", "1", "--json"])
    found = json.loads(ran.output)
    assert found["schema"] == 1 and found["facts"]["data"]["files"] == 32
    assert found["facts"]["reads"]["decoded"] > 0
    assert ran.exit_code == bool(found["findings"])
    assert all(one[part] for one in found["findings"] for part in ("name", "found", "why", "mend"))
    text = CliRunner().invoke(main, ["doctor", "--seconds", "0.2"])
    assert "cores" in text.output and "--data DIR" in text.output
    assert CliRunner().invoke(main, ["doctor", "--data", str(tmp_path / "none")]).exit_code == 2


def test_libraries_that_do_not_import_are_the_finding(tmp_path):
    tree(tmp_path, {"torchvision/__init__.py": "raise RuntimeError('operator torchvision::nms does not exist')"})
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    ran = run(sys.executable, "-m", "fastload", "doctor", "--json", env=env)
    (finding,) = json.loads(ran.stdout)["findings"]
    assert ran.returncode == 1
    assert "torchvision::nms" in finding["why"] and "torchvision==" in finding["mend"]


def test_storage_that_answers_late_is_probed_within_its_time(tmp_path, monkeypatch):
    paths = [str(tmp_path / str(number)) for number in range(400)]
    for path in paths:
        Path(path).write_bytes(bytes(5000))
    now = itertools.count()
    opened = []
    monkeypatch.setattr(storage_probe, "resident_share", lambda path: opened.append(path) or 1.0)
    monkeypatch.setattr(storage_probe, "drop_all", lambda pieces: opened.extend(path for path, _, _ in pieces))
    clock = SimpleNamespace(perf_counter=lambda: 0.1 * next(now))  # each look at the clock takes a while
    monkeypatch.setattr(storage_probe, "time", clock)
    monkeypatch.setattr(timed_reads, "time", clock)
    found = storage_probe.probe(paths, 10.0)
    assert 8 <= len(opened) < 100 and found["files"] >= 4 and found["file_bytes"] == 5000
