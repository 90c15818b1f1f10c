"""Wheels for tests: the files of a good one, with a core of a few lines of C."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import bundled
import check_wheel

ROOT = Path(__file__).resolve().parents[1]
NAME = "fastload-torch"
# Like a core: one name given, the C library's and Python's wanted; and the words that libjpeg-turbo has in its code.
SOURCE = """
#include <stdlib.h>
__attribute__((visibility("hidden"))) const char* volatile version = "libjpeg-turbo version 2.1.5 (build 20260101)";
extern void PyModule_Create2(void);
void PyInit__core(void) { PyModule_Create2(); free((void*)version); }
"""
# What ELF calls a machine, and the version that all symbols of its first C library have.
MACHINES = {"x86_64": (62, "GLIBC_2.2.5"), "aarch64": (183, "GLIBC_2.17")}


def compile_library(folder: Path, source: str, *options: object) -> Path:
    """A shared library of C, made once."""
    compiler = shutil.which("cc") or shutil.which("c++")
    assert compiler, "the build needs a compiler too"
    path = folder / hashlib.sha256(repr((source, options)).encode()).hexdigest()
    if not path.exists():
        path.with_suffix(".c").write_text(source)
        command = [compiler, "-x", "c", path.with_suffix(".c"), "-x", "none", "-shared", "-fPIC", *options, "-o", path]
        subprocess.run([*map(str, command)], check=True)
    return path


def core_for(machine: str, folder: Path) -> bytes:
    """A core as far as its tables go: what they are read for says of itself that it is for that machine."""
    number, version = MACHINES[machine]
    script = folder / f"versions-{machine}"
    script.write_text(f"{version} {{ global: *; }};\n")
    libc = compile_library(
        folder, "void free(void* p) {}", "-nostdlib", "-Wl,-soname,libc.so.6", f"-Wl,--version-script={script}"
    )
    core = bytearray(compile_library(folder, SOURCE, "-nostdlib", libc).read_bytes())
    core[18:20] = number.to_bytes(2, "little")
    return bytes(core)


def core_name(python: str, machine: str) -> str:
    return f"fastload/_core.cpython-{python}-{machine}-linux-gnu.so"


def good_files(folder: Path, version: str) -> dict[str, bytes]:
    """All of a wheel that may be published, but for its core."""
    texts = folder / "texts"
    texts.mkdir()
    for name, words in check_wheel.BUNDLED["libjpeg-turbo"].items():
        (texts / name).write_text(words)
    note = texts / "libjpeg.json"
    paths = [str(texts / name) for name in check_wheel.BUNDLED["libjpeg-turbo"]]
    note.write_text(json.dumps({"version": "2.1.5", "sha256": "0" * 64, "texts": paths}))
    wheel = folder / "wheel"
    dist_info = wheel / f"fastload_torch-{version}.dist-info"
    (dist_info / "licenses").mkdir(parents=True)
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, dist_info / "licenses")
    (dist_info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {NAME}\nVersion: {version}\n")
    bundled.add(dist_info, NAME, version, [bundled.libjpeg(note), bundled.pybind11()])
    files = {str(path.relative_to(wheel)): path.read_bytes() for path in wheel.rglob("*") if path.is_file()}
    return {**files, "fastload/__init__.py": b""}


def recorded(files: dict[str, bytes], version: str) -> dict[str, bytes]:
    """With the RECORD of these files."""
    record = f"fastload_torch-{version}.dist-info/RECORD"
    sums = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        for name, data in files.items()
    }
    rows = [f"{name},sha256={sums[name]},{len(data)}\n" for name, data in files.items() if name != record]
    return {**files, record: "".join([*rows, f"{record},,\n"]).encode()}
