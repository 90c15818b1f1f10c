"""The control groups that limit a process: where their files are, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def limiting_groups(controller: str, root: Path = ROOT, process: int | str = "self") -> Iterator[Path]:
    """The folders of the groups that limit a process, each before the one that it lies in.

    Args:
        controller: "cpu", "memory", …
        root: where ``/proc`` and the control groups' file systems are found.
        process: its number, or "self".
    """
    try:
        memberships = (root / f"proc/{process}/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return
    for membership in memberships:
        # "0::/path" of version 2; "4:cpu,cpuacct:/path" of version 1
        number, _, rest = membership.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and controller not in controllers.split(","):
            continue
        for mount in mounts:
            # "31 23 0:28 <the group that is seen> <where> options … - <file system> <source> <its options>"
            own, _, system = mount.partition(" - ")
            if not system.startswith("cgroup2 " if number == "0" else "cgroup "):
                continue
            if number != "0" and controller not in system.split()[-1].split(","):
                continue
            seen, where = map(unescaped, own.split()[3:5])
            top, inside = root / where.lstrip("/"), PurePosixPath(path)
            # In a container the path may be the host's, of which nothing but the mount is seen.
            below = inside.relative_to(seen) if inside.is_relative_to(seen) else PurePosixPath()
            yield from (top / step for step in (below, *below.parents))


def unescaped(path: str) -> str:
    """As mountinfo writes it: a space is \\040."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
