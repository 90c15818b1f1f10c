"""A release's files are counted, and what moved away from the pinned versions is named."""

from __future__ import annotations

import pytest

import expected_files
import versions_diff

SDIST = "fastload_torch-1.2.3.tar.gz"
ABIS = ("cp310", "cp311", "cp312", "cp313", "cp314", "cp314t")


def wheel(abi: str, machine: str) -> str:
    return f"fastload_torch-1.2.3-{abi.rstrip('t')}-{abi}-manylinux_2_27_{machine}.manylinux_2_28_{machine}.whl"


@pytest.fixture
def folder(tmp_path):
    """All files of a release."""
    for name in [SDIST, *(wheel(abi, machine) for abi in ABIS for machine in ("x86_64", "aarch64"))]:
        (tmp_path / name).touch()
    return tmp_path


def test_all_files_are_there(folder, capsys):
    assert expected_files.main(str(folder)) == 0
    assert capsys.readouterr().out == "all 13 files are there\n"


@pytest.mark.parametrize("name", [SDIST, wheel("cp314t", "aarch64"), wheel("cp310", "x86_64")])
def test_a_file_is_missing(folder, name, capsys):
    (folder / name).unlink()
    assert expected_files.main(str(folder)) == 1
    assert capsys.readouterr().out.startswith("missing: ")


@pytest.mark.parametrize(
    "name",
    [wheel("cp39", "x86_64"), wheel("cp313t", "x86_64"), wheel("cp310", "ppc64le"), "fastload_torch-1.2.4.tar.gz"],
)
def test_a_file_that_nobody_asked_for(folder, name, capsys):
    (folder / name).touch()
    assert expected_files.main(str(folder)) == 1
    assert f"not asked for: {name}" in capsys.readouterr().out


def test_a_wheel_twice_is_one_too_many(folder, capsys):
    (folder / "fastload_torch-1.2.4-cp312-cp312-manylinux_2_28_x86_64.whl").touch()
    assert expected_files.main(str(folder)) == 1
    assert capsys.readouterr().out.count("not asked for: ") == 2


def test_versions_that_moved_are_named(tmp_path):
    (tmp_path / "formats.txt").write_text("lmdb==1.0\n")
    file = tmp_path / "test.txt"
    file.write_text(
        "# which\ntorch==2.11.0\nNumPy==2.4.6  # of its time\nclick\nray[data]==2.60.0; python_version > '3'\n-r formats.txt\n"
    )
    pinned = versions_diff.pinned(file)
    assert pinned == {"torch": "2.11.0", "numpy": "2.4.6", "ray": "2.60.0", "lmdb": "1.0"}
    installed = {"torch": "2.14.1+cpu", "numpy": "2.4.6", "lmdb": "1.0+local", "click": "9"}
    table = versions_diff.table(pinned, installed)
    assert table.splitlines()[2:] == ["| torch | 2.11.0 | 2.14.1+cpu |"]
    assert versions_diff.table(pinned, {"torch": "2.11.0+cu130"}) == "Nothing is newer than what is pinned."


def test_versions_of_this_environment_are_compared_with_what_is_pinned(tmp_path, capsys):
    file = tmp_path / "pins.txt"
    file.write_text("pytest==0.0.1\n")
    versions_diff.main(str(file))
    assert f"| pytest | 0.0.1 | {pytest.__version__} |" in capsys.readouterr().out
