"""A command in a root of its own, as a container runtime starts one: in namespaces, over layers of folders, with limits.

Needs root, overlayfs and ``unshare``; nothing that is mounted outlives the command.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Conditions:
    """What a container may be given or refused.

    Attributes:
        read_only: nothing of the root can be written; /dev/shm is as ever.
        user: number of user and group; None: root.
        shm: bytes of /dev/shm, a container's usual 64 MB; 0: there is none.
        cores: of the processors' time, by a control group; None: all.
        network: that of the machine, or none at all.
        binds: folders of the machine, read-only, by their place inside.
    """

    read_only: bool = False
    user: int | None = None
    shm: int = 64 << 20
    cores: float | None = None
    network: bool = True
    binds: Mapping[str, Path] = field(default_factory=dict)


def run(
    layers: Sequence[Path],
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str = "/",
    conditions: Conditions = Conditions(),  # noqa: B008  frozen
    timeout: float = 1800,
) -> subprocess.CompletedProcess[str]:
    """To its end, output and errors together.

    Args:
        layers: folders from the lowest to the topmost, which is written to unless the root is read-only.
    """
    with tempfile.TemporaryDirectory(dir=layers[-1].parent) as scratch, _group(conditions.cores) as groups:
        root, work = Path(scratch, "root"), Path(scratch, "work")
        root.mkdir()
        work.mkdir()
        script = "\n".join(_set_up(layers, root, work, groups, conditions))
        user = [] if conditions.user is None else [f"--userspec={conditions.user}:{conditions.user}", "--groups="]
        enter = ["setpriv", "--no-new-privs", "chroot", *user, str(root), "/usr/bin/env", "-C", cwd, *command]
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts"]
        unshare += [] if conditions.network else ["--net"]
        return subprocess.run(
            [*unshare, "bash", "-c", f"set -euo pipefail\n{script}\nexec {shlex.join(enter)}"],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )


def _set_up(
    layers: Sequence[Path], root: Path, work: Path, groups: Sequence[Path], conditions: Conditions
) -> Iterator[str]:
    yield from (f"echo $$ > {group}/cgroup.procs" for group in groups)
    yield "mount --make-rprivate /"
    if conditions.read_only:
        options = "ro,lowerdir=" + ":".join(map(str, reversed(layers)))
    else:
        options = f"lowerdir={':'.join(map(str, reversed(layers[:-1])))},upperdir={layers[-1]},workdir={work}"
    yield f"mount -t overlay -o {options} overlay {root}"
    for inside, folder in conditions.binds.items():
        yield f"mount --bind {folder} {root}{inside} && mount -o remount,bind,ro {root}{inside}"
    yield f"mount -t proc proc {root}/proc"
    yield f"mount --rbind /sys {root}/sys"
    yield f"mount -t tmpfs -o mode=755,size=64k tmpfs {root}/dev"
    for device in DEVICES:
        yield f"touch {root}/dev/{device} && mount --bind /dev/{device} {root}/dev/{device}"
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield f"ln -s /proc/self/fd/{number} {root}/dev/{name}"
    yield f"ln -s /proc/self/fd {root}/dev/fd"
    if conditions.shm:
        yield f"mkdir {root}/dev/shm && mount -t tmpfs -o mode=1777,size={conditions.shm} tmpfs {root}/dev/shm"
    yield f"mount -o remount,ro {root}/dev"


@contextlib.contextmanager
def _group(cores: float | None) -> Iterator[list[Path]]:
    """A control group with that quota, of version 1 or 2, for as long as the ``with`` statement lasts."""
    if cores is None:
        yield []
        return
    is_old = (GROUPS / "cpu").is_dir()
    group = (GROUPS / "cpu" if is_old else GROUPS) / f"fastload-image-{os.getpid()}"
    if not is_old:
        (GROUPS / "cgroup.subtree_control").write_text("+cpu")
    group.mkdir()
    try:
        quota = int(cores * 100_000)
        if is_old:
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} 100000")
        yield [group]
    finally:
        for _ in range(100):  # until the kernel has buried those who were in it
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)
