"""`python packaging/check_wheel.py WHEEL…`: may these wheels be published? Says why not, one line a reason, and exits with 1.

A wheel is small, has no file but ours, each as its RECORD says, and holds one library. That needs nothing but the C and C++
libraries of the oldest system that its tag names, and gives nobody a name but its own. The wheel has the licence texts and the bill
of materials of all that is compiled into it.
"""

from __future__ import annotations

import base64
import csv
import email
import functools
import hashlib
import importlib.resources
import io
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from packaging.utils import parse_wheel_filename

MOST_BYTES = 2_000_000
# Of the C and the C++ library; nothing else is there wherever the wheel's tag says that it runs, and is ours to use.
LIBRARIES = re.compile(r"lib(c|m|pthread|dl|rt|gcc_s|stdc\+\+)\.so\.\d+|ld-linux-.*\.so\.\d")
# What is compiled into every core, the texts that its licence wants with it, and words of each that say it is that text.
BUNDLED = {
    "libjpeg-turbo": {"LICENSE.md": "Modified (3-clause) BSD License", "README.ijg": "Independent JPEG Group"},
    "pybind11": {"LICENSE": "Redistribution and use in source and binary forms"},
}
PTH = "fastload-run.pth"  # what Python reads when it starts
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


class Wheel:
    """A wheel's files, and the core among them. ValueError, OSError, BadZipFile or zlib.error: it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        name, version, _, tags = parse_wheel_filename(path.name)
        self.name, self.version = str(name), str(version)
        self.tag = sorted(tags, key=str)[0]
        self.platforms = {tag.platform for tag in tags}
        with zipfile.ZipFile(path) as archive:
            self.files = {file: archive.read(file) for file in archive.namelist() if not file.endswith("/")}
        self.libraries = [file for file, data in self.files.items() if data.startswith(b"\x7fELF")]
        self.cores = [file for file in self.libraries if re.fullmatch(r"fastload/_core\.[^/]+\.so", file)]
        # The folder of metadata.
        self.metadata = path.name.split("-")[0] + f"-{version}.dist-info/"
        if f"{self.metadata}METADATA" not in self.files:
            raise ValueError(f"it has no {self.metadata}METADATA")

    def core(self) -> ELFFile:
        return ELFFile(io.BytesIO(self.files[self.cores[0]]))


def size(wheel: Wheel) -> Iterator[str]:
    found = wheel.path.stat().st_size
    if found > MOST_BYTES:
        yield f"it has {found:,} bytes, more than {MOST_BYTES:,}"


def contents(wheel: Wheel) -> Iterator[str]:
    """By its RECORD pip takes a wheel away again; what lies beside our folders would be another's."""
    of_others = [file for file in wheel.files if not file.startswith(("fastload/", wheel.metadata)) and file != PTH]
    yield from (f"a file that is none of ours: {file}" for file in of_others if file not in wheel.libraries)
    record = f"{wheel.metadata}RECORD"
    rows = csv.reader(io.StringIO(wheel.files.get(record, b"").decode(errors="replace")))
    recorded = {row[0]: row[1] for row in rows if len(row) == 3}
    for file in sorted(wheel.files.keys() ^ recorded.keys()):
        yield f"{'RECORD has no' if file in wheel.files else 'RECORD alone has'} {file}"
    for file in wheel.files.keys() & recorded.keys() - {record}:
        digest = base64.urlsafe_b64encode(hashlib.sha256(wheel.files[file]).digest()).rstrip(b"=").decode()
        if recorded[file] != f"sha256={digest}":
            yield f"RECORD has another sum of {file}"


def metadata(wheel: Wheel) -> Iterator[str]:
    said = email.message_from_bytes(wheel.files[f"{wheel.metadata}METADATA"])
    if (said["Name"], said["Version"]) != (wheel.name, wheel.version):
        yield f"its metadata are of {said['Name']} {said['Version']}"


def libraries(wheel: Wheel) -> Iterator[str]:
    for file in wheel.libraries:
        if file not in wheel.cores:
            yield f"a foreign library is bundled: {file}"
    if len(wheel.cores) != 1:
        yield f"it holds {len(wheel.cores)} cores"
        return
    dynamic = wheel.core().get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection)
    for entry in dynamic.iter_tags():
        if entry.entry.d_tag == "DT_NEEDED" and not LIBRARIES.fullmatch(entry.needed):
            yield f"the core needs a foreign library: {entry.needed}"
        if entry.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
            yield "the core says where libraries are looked for"
        if entry.entry.d_tag == "DT_TEXTREL":
            yield "the core's code is changed when it is loaded"


def versions(wheel: Wheel) -> Iterator[str]:
    """The symbols' versions against the list of what the system that the tag names has: auditwheel's."""
    text = importlib.resources.files("auditwheel.policy").joinpath("manylinux-policy.json").read_text()
    policies = {name: policy for policy in json.loads(text) for name in (policy["name"], *policy.get("aliases", ()))}
    for platform in sorted(wheel.platforms):
        parsed = re.fullmatch(r"(manylinux\w+)_(x86_64|aarch64)", platform)
        if parsed is None or parsed[1] not in policies:
            yield f"its tag {platform} names no manylinux that is known"
            continue
        system, machine = parsed.groups()
        known = policies[system]["symbol_versions"][machine]
        needed = wheel.core().get_section_by_name(".gnu.version_r")
        assert isinstance(needed, GNUVerNeedSection)
        for library, wanted in needed.iter_versions():
            for version in wanted:
                kind, _, number = version.name.partition("_")
                if number not in known.get(kind, ()):
                    yield f"{library.name} of {system} has no {version.name}"


def abi(wheel: Wheel) -> Iterator[str]:
    """For this interpreter, this machine, with no name of torch, CUDA or libjpeg wanted or given."""
    machine = next((name for name in MACHINES if wheel.tag.platform.endswith(name)), None)
    abi = wheel.tag.abi.removeprefix("cp")
    wanted = f"fastload/_core.cpython-{abi}-{machine}-linux-gnu.so"
    if wheel.cores != [wanted] or wheel.tag.interpreter != f"cp{abi.rstrip('t')}":
        yield f"the tag {wheel.tag} asks for {wanted}, there is {', '.join(wheel.cores)}"
    core = wheel.core()
    if machine is None or core.header["e_machine"] != MACHINES[machine]:
        yield f"the core is for {core.header['e_machine']}"
    versioned = core.get_section_by_name(".gnu.version")
    for i, symbol in enumerate(core.get_section_by_name(".dynsym").iter_symbols()):
        is_given = symbol.entry.st_shndx != "SHN_UNDEF"
        if is_given and symbol.name != "PyInit__core":
            yield f"the core gives away the name {symbol.name}"
        has_version = versioned.get_symbol(i)["ndx"] not in ("VER_NDX_LOCAL", "VER_NDX_GLOBAL")
        is_weak = symbol.entry.st_info.bind == "STB_WEAK"
        if not is_given and symbol.name and not (has_version or is_weak or re.match("_?Py", symbol.name)):
            yield f"the core wants a name that neither Python nor the C and C++ libraries have: {symbol.name}"
    if any(part["p_type"] == "PT_GNU_STACK" and part["p_flags"] & 1 for part in core.iter_segments()):
        yield "the core wants a stack that can be executed"


def licences(wheel: Wheel) -> Iterator[str]:
    wanted = {"": {"LICENSE": "Apache License", "NOTICE": "libjpeg-turbo"}, **BUNDLED}
    for part, texts in wanted.items():
        for name, words in texts.items():
            file = f"{wheel.metadata}licenses/{part + '/' if part else ''}{name}"
            if words not in wheel.files.get(file, b"").decode(errors="replace"):
                yield f"a licence text is missing: {file}"


@functools.cache
def validator() -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion.V1_6)


def bill_of_materials(wheel: Wheel) -> Iterator[str]:
    bills = [file for file in wheel.files if file.startswith(f"{wheel.metadata}sboms/")]
    if len(bills) != 1:
        yield f"it has {len(bills)} bills of materials"
        return
    text = wheel.files[bills[0]].decode(errors="replace")
    try:
        problem = validator().validate_str(text)
    except ValueError as error:  # no JSON at all
        yield f"{bills[0]} is no CycloneDX 1.6: {error}"
        return
    if problem:
        yield f"{bills[0]} is no CycloneDX 1.6: {str(problem.data.message)[:200]}"
        return
    said = json.loads(text)
    ours = said.get("metadata", {}).get("component", {})
    if (ours.get("name"), ours.get("version")) != (wheel.name, wheel.version):
        yield f"{bills[0]} is of {ours.get('name')} {ours.get('version')}"
    named = {part["name"]: part.get("version") for part in said.get("components", ())}
    if set(named) != set(BUNDLED):
        yield f"{bills[0]} names {', '.join(sorted(named)) or 'nothing'}; the core carries {', '.join(sorted(BUNDLED))}"
    compiled = re.search(
        rb"libjpeg-turbo version ([\d.]+) \(build", b"".join(wheel.files[core] for core in wheel.cores)
    )
    if compiled is None or named.get("libjpeg-turbo") != compiled.group(1).decode():
        yield f"{bills[0]} names libjpeg-turbo {named.get('libjpeg-turbo')}, the core has {compiled and compiled.group(1)}"


GATES = (size, contents, metadata, libraries, versions, abi, licences, bill_of_materials)


def problems(path: Path) -> list[str]:
    """What keeps a wheel from being published."""
    try:
        wheel = Wheel(path)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        return [f"it is no wheel: {error}"]
    if len(wheel.cores) != 1:
        return [*size(wheel), *libraries(wheel)]
    return [problem for gate in GATES for problem in gate(wheel)]


def main(paths: list[str]) -> int:
    if not paths:
        print("no wheels", file=sys.stderr)
        return 1
    found = {path: problems(Path(path)) for path in paths}
    for path, of_path in found.items():
        for problem in of_path:
            print(f"{Path(path).name}: {problem}", file=sys.stderr)
        if not of_path:
            print(f"{Path(path).name}: {Path(path).stat().st_size:,} bytes, all gates passed")
    return any(found.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
