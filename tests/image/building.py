"""docker/Dockerfile carried out line by line in chroots, from a base that ``debootstrap`` and pip make.

The base is a Debian with Python and pip, and with the torch, torchvision, Pillow and NumPy that tests are pinned to: what a PyTorch
image has, without CUDA's libraries if the index has such a torch. Debian's archive is that of this machine's apt, packages come
through this machine's pip; in the chroots pip sees these alone.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import chroots
import dockerfile

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "image"
IN_BASE = ("torch", "torchvision", "pillow", "numpy")
# What the wheel needs beside them, and what builds it.
BESIDE = ("click", "setuptools", "pybind11", "cmake", "ninja", "wheel")
PIP = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/packages",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}


@dataclass
class Image:
    """What a build gives: its layers, and how its command is started."""

    layers: list[Path]
    env: dict[str, str]
    cwd: str
    user: int
    command: list[str]
    said: str


def pinned() -> dict[str, str]:
    """By name, the versions of requirements/test.txt."""
    text = (ROOT / "requirements" / "test.txt").read_text()
    return dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))


def checked(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said; an error with it if it failed."""
    if done.returncode:
        raise RuntimeError(f"{done.args}\nended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr or ''}")
    return done.stdout


def here(*command: object) -> str:
    """A command of this machine."""
    return checked(subprocess.run([*map(str, command)], capture_output=True, text=True))


def archive() -> str:
    """Where this machine's apt has Debian's main packages from."""
    suite = _suite()
    lines = here(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)"
    ).splitlines()
    return next(line.split()[0] for line in lines if line.split()[1:] == [suite, "main", "Packages"])


def _suite() -> str:
    return re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)[1]  # type: ignore[index]


def base() -> Path:
    """A folder with the base's root; made once."""
    versions = {name: pinned()[name] for name in IN_BASE}
    folder = BUILD / "base"
    note = BUILD / "base.json"
    if note.exists() and json.loads(note.read_text()) == versions:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    wanted = "--include=ca-certificates,python3,python3-pip,python-is-python3"
    here("debootstrap", "--variant=minbase", wanted, _suite(), folder, archive())
    for place in ("packages", "data"):
        (folder / place).mkdir()
    # Whatever this machine's apt needs on its way, a proxy or a certificate.
    (folder / "etc/apt/apt.conf.d/90-of-the-machine").write_text(here("apt-config", "dump", "Acquire"))
    packages(folder)
    empty = BUILD / "of-the-base"
    empty.mkdir(exist_ok=True)
    install = ["python", "-m", "pip", "install", "--no-cache-dir"]
    install += [f"{name}=={one}" for name, one in versions.items()]
    seen = chroots.Conditions(binds={"/packages": BUILD / "packages"})
    checked(chroots.run([empty, folder], install, env=PIP, conditions=seen))
    note.write_text(json.dumps(versions))
    return folder


def packages(root: Path) -> None:
    """Fills the folder that pip in the chroots sees, for the Python that is in ``root``."""
    python = sorted(root.glob("usr/lib/python3.*"))[-1].name.removeprefix("python")
    versions = pinned()
    torch = f"torch=={versions['torch']}"
    without_cuda = [f"{torch}+cpu", f"torchvision=={versions['torchvision']}+cpu"]
    others = [f"{name}=={versions[name]}" if name in versions else name for name in (*IN_BASE[2:], *BESIDE)]
    download = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", python]
    download += ["-d", str(BUILD / "packages")]
    if subprocess.run([*download, *without_cuda, *others], capture_output=True).returncode:
        here(*download, torch, f"torchvision=={versions['torchvision']}", *others)


def build(arguments: Mapping[str, str]) -> Image:
    """The image of docker/Dockerfile.

    Args:
        arguments: of ``--build-arg``.
    """
    below = base()
    done: dict[str, Path] = {}
    stages = dockerfile.read(ROOT / "docker" / "Dockerfile", {"BASE_DIGEST": "sha256:0", **arguments})
    said: list[str] = []
    for stage in stages:
        top = BUILD / f"stage-{stage.name}"
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir()
        image = Image([below, top], {}, "/", 0, [], "")
        given: dict[str, str] = {}
        for instruction in stage.instructions:
            words = [dockerfile.filled_in(word, {**given, **image.env}) for word in instruction.words]
            if instruction.kind == "ARG":
                name, _, default = words[0].partition("=")
                given[name] = arguments.get(name, default)
            elif instruction.kind == "ENV":
                image.env.update(word.split("=", 1) for word in words)
            elif instruction.kind == "WORKDIR":
                image.cwd = os.path.join(image.cwd, words[0])
                (top / image.cwd.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif instruction.kind == "USER":
                image.user = int(words[0].split(":")[0])
            elif instruction.kind == "CMD":
                image.command = words
            elif instruction.kind == "COPY":
                _copy(words, image, done)
            else:
                said.append(_run(words, image, given))
        done[stage.name] = top
    image.said = "\n".join(said)
    return image


def _run(words: list[str], image: Image, given: Mapping[str, str]) -> str:
    resolv = image.layers[-1] / "etc" / "resolv.conf"
    resolv.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile("/etc/resolv.conf", resolv)  # as a runtime does
    conditions = chroots.Conditions(user=image.user or None, binds={"/packages": BUILD / "packages"})
    env = {**_proxies(), **PIP, **image.env, **given}
    return checked(chroots.run(image.layers, words, env=env, cwd=image.cwd, conditions=conditions))


def _proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _copy(words: list[str], image: Image, done: Mapping[str, Path]) -> None:
    """COPY: of a folder what is in it, of several files each into the folder."""
    source = ROOT
    if words[0].startswith("--from="):
        source = done[words.pop(0).removeprefix("--from=")]
    *names, goal = words
    target = image.layers[-1] / os.path.join(image.cwd, goal).lstrip("/")
    for name in names:
        given = source / name.lstrip("/")
        if given.is_dir():
            shutil.copytree(given, target, dirs_exist_ok=True, ignore=_ignored if source == ROOT else None)
        else:
            into = target / given.name if goal.endswith("/") or len(names) > 1 else target
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(given, into)


def _ignored(_folder: str, names: list[str]) -> Iterator[str]:
    patterns = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().split()
    return (name for name in names if any(fnmatch.fnmatch(name, one.removeprefix("**/")) for one in patterns))
