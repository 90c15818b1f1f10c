"""make release-check: a project that is ready, and one for each thing that may be missing."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import zipfile

import pytest

import release_check
import wheels

DIST_INFO = "fastload_torch-1.2.0.dist-info"
METADATA = "Metadata-Version: 2.4\nName: fastload-torch\nVersion: {}\nLicense-File: LICENSE\n"
CONFIGURATION = '[tool.cibuildwheel]\nbuild = ["cp312-manylinux*"]\n'
SBOM = f"{DIST_INFO}/sboms/fastload-torch.cdx.json"


def wheel_name(machine, version="1.2.0"):
    return f"fastload_torch-{version}-cp312-cp312-manylinux_2_28_{machine}.whl"


def write_wheel(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in wheels.recorded(files, "1.2.0").items():
            archive.writestr(name, data)


def write_source(root, version="1.2.0"):
    with tarfile.open(root / "dist" / "fastload_torch-1.2.0.tar.gz", "w:gz") as archive:
        content = METADATA.format(version).encode()
        entry = tarfile.TarInfo("fastload_torch-1.2.0/PKG-INFO")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def git(root, *command):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *command], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def ready_project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for name, text in {
        "fastload/version.py": '__version__ = "1.2.0"\n',
        "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.2.0\n\n* It is faster.\n* It is smaller.\n\n## 1.1.0\n\n* First.\n",
        "README.md": "See [the page](docs/page.md#a-part), [the web](https://example.org/x.md).\n```md\n[no](link.md)\n```\n",
        "CONTRIBUTING.md": "x\n",
        "SECURITY.md": "x\n",
        "docs/page.md": "[back](../README.md)\n\n## A part\n",
        "pyproject.toml": CONFIGURATION,
        ".gitignore": "/dist/\n",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    (root / "dist").mkdir()
    folder = tmp_path_factory.mktemp("wheels")
    files = wheels.good_files(folder, "1.2.0")
    for machine in wheels.MACHINES:
        core = {wheels.core_name("312", machine): wheels.core_for(machine, folder)}
        write_wheel(root / "dist" / wheel_name(machine), {**files, **core})
    write_source(root)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "x")
    return root


@pytest.fixture
def project(ready_project, tmp_path):
    return shutil.copytree(ready_project, tmp_path / "project")


def test_a_project_that_is_ready(project, capsys):
    assert release_check.main(["1.2.0"], project) == 0
    said = capsys.readouterr().out
    assert said.count("ready ") == len(release_check.CHECKS) and "missing" not in said
    assert "2 changes" in said and "2 wheels" in said and "4 pages" in said
    git(project, "tag", "v1.2.0")  # of this very commit
    assert release_check.main(["1.2.0"], project) == 0


def commit(project):
    git(project, "commit", "-q", "-a", "-m", "y")


def tag_of_another(project):
    git(project, "tag", "v1.2.0")
    (project / "README.md").write_text("y\n")
    commit(project)


def replace(name, old, new):
    def change(project):
        text = (project / name).read_text()
        assert old in text
        (project / name).write_text(text.replace(old, new))
        commit(project)

    return change


def file_of_a_wheel(name, change):
    """Of one of them; ``None``: without it."""

    def changed(project):
        path = project / "dist" / wheel_name("aarch64")
        with zipfile.ZipFile(path) as archive:
            files = {one: archive.read(one) for one in archive.namelist()}
        data = change(files.pop(name, b""))
        write_wheel(path, {**files, name: data} if data is not None else files)

    return changed


def bill(change):
    return file_of_a_wheel(SBOM, lambda data: json.dumps({**json.loads(data), **change}).encode())


def renamed(name):
    return lambda project: (project / "dist" / wheel_name("aarch64")).rename(project / "dist" / name)


MISSING = {
    "version": (replace("fastload/version.py", "1.2.0", "1.1.0"), "version", "version.py says 1.1.0"),
    "unreleased changes": (
        replace("CHANGELOG.md", "Unreleased\n", "Unreleased\n\n* More.\n"),
        "changelog",
        "Unreleased",
    ),
    "no section": (
        replace("CHANGELOG.md", "## 1.2.0", "## 1.1.9"),
        "changelog",
        "newest version in CHANGELOG.md is 1.1.9",
    ),
    "an empty section": (
        replace("CHANGELOG.md", "* It is faster.\n* It is smaller.\n", ""),
        "changelog",
        "says nothing of 1.2.0",
    ),
    "not committed": (lambda project: (project / "new.py").touch(), "tree", "not committed: ?? new.py"),
    "tagged before": (tag_of_another, "tree", "v1.2.0 is another commit"),
    "no sdist": (lambda project: (project / "dist/fastload_torch-1.2.0.tar.gz").unlink(), "source", "is not there"),
    "another sdist": (lambda project: write_source(project, "1.1.0"), "source", "says that it is 1.1.0"),
    "no wheel": (lambda project: [one.unlink() for one in (project / "dist").glob("*.whl")], "wheels", "cp312 x86_64"),
    "one wheel less": (
        lambda project: (project / "dist" / wheel_name("aarch64")).unlink(),
        "wheels",
        "missing: cp312 aarch64",
    ),
    "a wheel more": (
        replace("pyproject.toml", "cp312", "cp313"),
        "wheels",
        f"not asked for: {wheel_name('aarch64')}",
    ),
    "another wheel": (renamed(wheel_name("aarch64", "1.1.0")), "wheels", "dist has fastload_torch-1.1.0"),
    "a wheel for one machine": (
        renamed("fastload_torch-1.2.0-cp312-cp312-linux_aarch64.whl"),
        "wheels",
        "names no manylinux",
    ),
    "a large wheel": (
        file_of_a_wheel("fastload/large.bin", lambda data: b"x" * 2_000_001),
        "wheels",
        "more than 2,000,000",
    ),
    "a wheel's metadata": (
        file_of_a_wheel(f"{DIST_INFO}/METADATA", lambda data: METADATA.format("1.1.0").encode()),
        "wheels",
        "its metadata are of fastload-torch 1.1.0",
    ),
    "no core": (
        file_of_a_wheel(wheels.core_name("312", "aarch64"), lambda data: None),
        "wheels",
        "it holds 0 cores",
    ),
    "no licence": (
        file_of_a_wheel(f"{DIST_INFO}/licenses/LICENSE", lambda data: None),
        "wheels",
        f"a licence text is missing: {DIST_INFO}/licenses/LICENSE",
    ),
    "an empty licence": (
        file_of_a_wheel(f"{DIST_INFO}/licenses/LICENSE", lambda data: b""),
        "wheels",
        f"a licence text is missing: {DIST_INFO}/licenses/LICENSE",
    ),
    "no SBOM": (file_of_a_wheel(SBOM, lambda data: None), "wheels", "it has 0 bills of materials"),
    "an SBOM that is no JSON": (file_of_a_wheel(SBOM, lambda data: b"<xml/>"), "wheels", "is no CycloneDX"),
    "an SBOM of another kind": (bill({"bomFormat": "SPDX"}), "wheels", "is no CycloneDX"),
    "an SBOM without what is bundled": (bill({"components": [], "dependencies": []}), "wheels", "names nothing"),
    "an SBOM of another version": (bill({"metadata": {}}), "wheels", "is of None None"),
    "a link": (replace("docs/page.md", "README", "READYOU"), "documentation", "docs/page.md links to ../READYOU.md"),
    "a heading": (
        replace("docs/page.md", "## A part", "## Another"),
        "documentation",
        "README.md links to docs/page.md#a-part",
    ),
    "a page": (lambda project: (project / "SECURITY.md").unlink(), "documentation", "SECURITY.md is not there"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_named(name, project, capsys):
    change, check, said = MISSING[name]
    change(project)
    assert release_check.main(["1.2.0"], project) == 1
    lines = [line.split(None, 2) for line in capsys.readouterr().out.splitlines()]
    assert {what: reason for state, what, reason in lines if state == "missing"}.keys() - {"tree"} <= {check}
    assert said in next(reason for state, what, reason in lines if what == check and state == "missing")


@pytest.mark.parametrize("wanted", [[], [""], ["1.2"], ["v1.2.0"], ["1.2.0", "1.3.0"]])
def test_what_is_no_version(wanted, project):
    assert release_check.main(wanted, project) == 2


def test_the_project_itself_can_be_asked(capsys):
    """It is not ready, but no check breaks on it."""
    assert release_check.main(["9.9.9"]) == 1
    assert capsys.readouterr().out.count("\n") == len(release_check.CHECKS)
