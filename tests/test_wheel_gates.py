"""What keeps a wheel from being published: a good wheel passes packaging/check_wheel.py, and each broken form of it is named."""

from __future__ import annotations

import functools
import json
import random
import sysconfig
import zipfile

import pytest

import bundled
import check_wheel
import wheels
from wheels import NAME, SOURCE

VERSION = "7.8.9"
DIST_INFO = f"fastload_torch-{VERSION}.dist-info"
BILL = f"{DIST_INFO}/sboms/{NAME}.cdx.json"
MACHINE = sysconfig.get_config_var("MULTIARCH").partition("-")[0]
TAG = f"cp312-cp312-manylinux_2_28_{MACHINE}"
CORE = wheels.core_name("312", MACHINE)


@pytest.fixture(scope="module")
def compile_library(tmp_path_factory):
    """Gives a shared library made of C."""
    return functools.partial(wheels.compile_library, tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="module")
def good(compile_library, tmp_path_factory):
    """The files of a wheel that may be published."""
    return {
        **wheels.good_files(tmp_path_factory.mktemp("good"), VERSION),
        CORE: compile_library(SOURCE).read_bytes(),
    }


@pytest.fixture
def problems(tmp_path):
    """Gives what is wrong with a wheel of these files."""

    def of(files: dict[str, bytes], tag: str = TAG, *, records: bool = True) -> list[str]:
        path = tmp_path / f"fastload_torch-{VERSION}-{tag}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (wheels.recorded(files, VERSION) if records else files).items():
                archive.writestr(name, data)
        return check_wheel.problems(path)

    return of


def test_a_good_wheel_passes(good, problems):
    assert problems(good) == []


def test_the_command_says_what_is_wrong_and_fails(good, problems, tmp_path, capsys):
    assert check_wheel.main([]) == 1
    problems(good)
    (path,) = map(str, tmp_path.glob("*.whl"))
    assert check_wheel.main([path]) == 0 and "all gates passed" in capsys.readouterr().out
    problems({**good, f"{DIST_INFO}/licenses/LICENSE": b""})
    assert check_wheel.main([path]) == 1 and "a licence text is missing" in capsys.readouterr().err


def test_a_large_wheel(good, problems):
    (found,) = problems({**good, "fastload/large.bin": random.Random(0).randbytes(2_000_000)})
    assert found.startswith("it has 2,0") and found.endswith("more than 2,000,000")


@pytest.mark.parametrize("file", ["../evil.py", "torch/__init__.py", "sitecustomize.py", "evil.pth"])
def test_a_file_that_is_none_of_ours(good, problems, file):
    assert problems({**good, file: b"import os"}) == [f"a file that is none of ours: {file}"]


def test_a_record_that_is_not_of_the_files(good, problems):
    record, code = f"{DIST_INFO}/RECORD", "fastload/__init__.py"
    whole = wheels.recorded(good, VERSION)
    assert problems(whole, records=False) == []
    assert problems({**whole, code: b"import os"}, records=False) == [f"RECORD has another sum of {code}"]
    assert problems({**whole, "fastload/new.py": b""}, records=False) == ["RECORD has no fastload/new.py"]
    del whole[code]
    assert problems(whole, records=False) == [f"RECORD alone has {code}"]
    assert f"RECORD has no {record}" in problems(good | {record: b""}, records=False)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(400)], ids=["empty", "text", "cut"])
def test_what_is_no_wheel_is_named_and_those_beside_it_are_looked_at(content, good, problems, tmp_path, capsys):
    problems(good)
    (whole,) = map(str, tmp_path.glob("*.whl"))
    broken = tmp_path / f"fastload_torch-{VERSION}-{TAG.replace('cp312', 'cp311')}.whl"
    broken.write_bytes(content)
    assert (
        check_wheel.main(
            [str(broken), str(tmp_path / "notes.whl"), str(tmp_path / broken.name.replace("311", "310")), whole]
        )
        == 1
    )
    said = capsys.readouterr()
    assert said.err.count("it is no wheel: ") == 3 and "all gates passed" in said.out


def test_a_wheel_without_metadata(good, problems):
    (found,) = problems({name: data for name, data in good.items() if not name.endswith("METADATA")})
    assert found == f"it is no wheel: it has no {DIST_INFO}/METADATA"


@pytest.fixture
def core_that_needs(compile_library, tmp_path):
    """Gives a core that calls a function of a library of this name, in this version of its symbols."""

    def made(soname: str, version: str | None = None) -> bytes:
        script = tmp_path / "versions"
        script.write_text(f"{version or 'ANY'} {{ global: *; }};\n")
        versions = [f"-Wl,--version-script={script}"] if version else []
        library = compile_library("void brand_new(void) {}", f"-Wl,-soname,{soname}", *versions)
        call = SOURCE.replace("free(", "extern void brand_new(void); brand_new(); free(")
        return compile_library(call, library).read_bytes()

    return made


@pytest.mark.parametrize(
    ("soname", "version", "system"),
    [
        ("libc.so.6", "GLIBC_2.29", "manylinux_2_28"),
        ("libc.so.6", "GLIBC_2.99", "manylinux_2_35"),
        ("libm.so.6", "GLIBC_2.18", "manylinux2014"),
        ("libstdc++.so.6", "GLIBCXX_3.4.30", "manylinux_2_28"),
        ("libstdc++.so.6", "CXXABI_1.3.99", "manylinux_2_28"),
        ("libgcc_s.so.1", "GCC_99.0.0", "manylinux_2_28"),
    ],
)
def test_a_symbol_newer_than_the_tag_allows(good, problems, core_that_needs, soname, version, system):
    files = {**good, CORE: core_that_needs(soname, version)}
    assert f"{soname} of {system} has no {version}" in problems(files, TAG.replace("manylinux_2_28", system))


def test_a_symbol_that_the_tag_allows(good, problems, core_that_needs):
    assert not [one for one in problems({**good, CORE: core_that_needs("libm.so.6", "GLIBC_2.28")}) if "GLIBC" in one]


@pytest.mark.parametrize("system", ["linux", "musllinux_1_2", "manylinux_9_99"])
def test_a_tag_that_promises_nothing_known(good, problems, system):
    (found,) = problems(good, TAG.replace("manylinux_2_28", system))
    assert "names no manylinux that is known" in found


@pytest.mark.parametrize(
    "soname", ["libjpeg.so.62", "libtorch.so", "libc10.so", "libcudart.so.13", "libpython3.12.so.1.0", "libz.so.1"]
)
def test_a_foreign_library_is_needed(good, problems, core_that_needs, soname):
    found = problems({**good, CORE: core_that_needs(soname)})
    assert f"the core needs a foreign library: {soname}" in found


@pytest.mark.parametrize("file", ["fastload_torch.libs/libjpeg-0a1b2c3d.so.62.3.0", "fastload/other.so", "bin/tool"])
def test_a_foreign_library_is_bundled(good, problems, file):
    assert problems({**good, file: good[CORE]}) == [f"a foreign library is bundled: {file}"]


@pytest.mark.parametrize(
    "said", ["Name: fastload-torch\nVersion: 7.8.8", "Name: fastload\nVersion: 7.8.9", "Version: 7.8.9"]
)
def test_metadata_of_another(good, problems, said):
    (found,) = problems({**good, f"{DIST_INFO}/METADATA": f"Metadata-Version: 2.4\n{said}\n".encode()})
    assert found.startswith("its metadata are of ")


def test_a_wheel_without_a_core(good, problems):
    assert problems({name: data for name, data in good.items() if name != CORE}) == ["it holds 0 cores"]


@pytest.mark.parametrize(
    "tag",
    [
        f"cp311-cp311-manylinux_2_28_{MACHINE}",
        f"cp312-cp312t-manylinux_2_28_{MACHINE}",
        f"cp310-abi3-manylinux_2_28_{MACHINE}",
        f"py3-none-manylinux_2_28_{MACHINE}",
        f"cp312-cp312-manylinux_2_28_{'aarch64' if MACHINE == 'x86_64' else 'x86_64'}",
    ],
)
def test_a_core_that_is_not_what_the_tag_says(good, problems, tag):
    assert any("asks for" in one for one in problems(good, tag))


def test_a_core_of_another_machine(good, problems):
    core = bytearray(good[CORE])
    core[18:20] = (243).to_bytes(2, "little")  # RISC-V's number
    assert problems({**good, CORE: bytes(core)}) == ["the core is for EM_RISCV"]


@pytest.mark.parametrize("name", ["jpeg_read_header", "_ZN2at6TensorC1Ev", "cudaMalloc", "Qy_None"])
def test_a_name_that_nobody_has_is_wanted(good, problems, compile_library, name):
    source = SOURCE.replace("free(", f"extern void {name}(void); {name}(); free(")
    (found,) = problems({**good, CORE: compile_library(source).read_bytes()})
    assert found == f"the core wants a name that neither Python nor the C and C++ libraries have: {name}"


@pytest.mark.parametrize("name", ["jpeg_read_header", "PyInit__other", "_ZNSt6vectorIfSaIfEE17_M_realloc_insertE"])
def test_a_name_is_given_away(good, problems, compile_library, name):
    (found,) = problems({**good, CORE: compile_library(f"{SOURCE}void {name}(void) {{}}").read_bytes()})
    assert found == f"the core gives away the name {name}"


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ("-Wl,-z,execstack", "the core wants a stack that can be executed"),
        ("-Wl,-rpath,/opt/lib", "the core says where libraries are looked for"),
    ],
)
def test_a_core_that_is_linked_otherwise(good, problems, compile_library, option, found):
    assert problems({**good, CORE: compile_library(SOURCE, option).read_bytes()}) == [found]


LICENCES = ["LICENSE", "NOTICE", "libjpeg-turbo/LICENSE.md", "libjpeg-turbo/README.ijg", "pybind11/LICENSE"]


@pytest.mark.parametrize("text", LICENCES)
@pytest.mark.parametrize("is_empty", [False, True], ids=["gone", "empty"])
def test_a_licence_text_is_missing(good, problems, text, is_empty):
    file = f"{DIST_INFO}/licenses/{text}"
    files = {**good, file: b""} if is_empty else {name: data for name, data in good.items() if name != file}
    assert file in good and problems(files) == [f"a licence text is missing: {file}"]


def without(*keys: str | int):
    def change(bill):
        for key in keys[:-1]:
            bill = bill[key]
        del bill[keys[-1]]

    return change


CHANGES = {
    "no format": (without("bomFormat"), "is no CycloneDX 1.6"),
    "no name of a part": (without("components", 0, "name"), "is no CycloneDX 1.6"),
    "a part twice": (lambda bill: bill["components"].append(bill["components"][0]), "is no CycloneDX 1.6"),
    "an unknown key": (lambda bill: bill.update(licence="Apache-2.0"), "is no CycloneDX 1.6"),
    "a number that is none": (lambda bill: bill.update(serialNumber="7"), "is no CycloneDX 1.6"),
    "a licence that is none": (
        lambda bill: bill["metadata"]["component"].update(licenses=[{"license": {"id": "Free"}}]),
        "is no CycloneDX 1.6",
    ),
    "another release": (
        lambda bill: bill["metadata"]["component"].update(version="7.8.8"),
        "is of fastload-torch 7.8.8",
    ),
    "a part less": (without("components", 1), "names libjpeg-turbo; the core carries libjpeg-turbo, pybind11"),
    "another libjpeg": (
        lambda bill: bill["components"][0].update(version="3.1.0"),
        "names libjpeg-turbo 3.1.0, the core has",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_bill_of_materials_that_is_wrong(good, problems, change):
    edit, reason = CHANGES[change]
    bill = json.loads(good[BILL])
    edit(bill)
    (found,) = problems({**good, BILL: json.dumps(bill).encode()})
    assert found.startswith(f"{BILL} {reason}")


def test_no_bill_of_materials_one_too_many_and_one_that_is_no_json(good, problems):
    assert problems({name: data for name, data in good.items() if name != BILL}) == ["it has 0 bills of materials"]
    assert problems({**good, f"{DIST_INFO}/sboms/other.json": b"{}"}) == ["it has 2 bills of materials"]
    (found,) = problems({**good, BILL: good[BILL][:-9]})
    assert found.startswith(f"{BILL} is no CycloneDX 1.6")


def test_the_same_parts_give_the_same_bill(tmp_path):
    part = bundled.pybind11()
    first, second = (json.dumps(bundled.bill_of_materials(NAME, VERSION, [part])) for _ in range(2))
    assert first == second != json.dumps(bundled.bill_of_materials(NAME, VERSION, []))
