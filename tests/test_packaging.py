"""One checkout is built again and again, by any pip and by make, and from an sdist: no build trips over another's tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# How a core is built is not what is tested here, and there are six of them.
QUICK = "-DCMAKE_CXX_FLAGS_RELEASE=-O0 -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF"
if shutil.which("ccache"):
    QUICK += " -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["CMAKE_ARGS"] = QUICK
    environment["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), environment["PATH"]])
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def make_environment(folder: Path) -> Path:
    """An environment with pip that borrows this one's torch; its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    # venv puts an old one there, which would hide the borrowed one.
    run(python, "-m", "pip", "uninstall", "-q", "-y", "setuptools", cwd=folder)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(packages) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def core_of(python: Path, elsewhere: Path) -> Path:
    """Where the core lies that this environment imports; it decodes an image first."""
    program = (
        "import io, PIL.Image, fastload._core as core; file = io.BytesIO(); PIL.Image.new('RGB', (9, 7)).save(file, 'JPEG');"
        "assert core.jpeg_decode(file.getvalue()).shape == (7, 9, 3); print(core.__file__)"
    )
    return Path(run(python, "-c", program, cwd=elsewhere).strip())


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    left_out = shutil.ignore_patterns(
        ".git", ".venv*", "build", "build-*", "dist", "*.so", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    for source in ROOT.glob("build/libjpeg-turbo_*.tar.gz"):
        (folder / "build").mkdir(exist_ok=True)
        shutil.copy(source, folder / "build")
    return folder


def test_one_checkout_installs_again_and_again(checkout, tmp_path):
    """By pip into one environment and into another, and from an sdist; by make, which installs an editable one, after each."""
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--force-reinstall"]

    def make(name):
        for core in (checkout / "fastload").glob("*.so"):
            core.unlink()
        folder = tmp_path / name
        (folder / ".requirements").touch()
        (folder / ".installed").unlink(missing_ok=True)
        run("make", "install", f"VENV={folder}", f"PYTHON={sys.executable}", cwd=checkout)
        assert core_of(folder / "bin" / "python", tmp_path).parent == checkout / "fastload"

    for name in ("first", "second"):
        python = make_environment(tmp_path / name)
        run(python, *pip, ".", cwd=checkout)
        assert core_of(python, tmp_path).is_relative_to(tmp_path / name)
        make(name)

    run(python, "setup.py", "-q", "sdist", cwd=checkout)
    (sdist,) = (checkout / "dist").glob("*.tar.gz")
    run(python, *pip, sdist, cwd=tmp_path)
    assert core_of(python, tmp_path).is_relative_to(tmp_path / "second")
    make("second")


def test_a_module_that_is_gone_is_not_packed(checkout, tmp_path):
    build_py = ["setup.py", "-q", "build", "--build-lib", tmp_path / "lib"]
    setup = (checkout / "setup.py").read_text()
    (checkout / "setup.py").write_text(setup.replace("ext_modules=", "ext_modules=[] and "))  # Python alone
    (checkout / "fastload" / "gone.py").touch()
    run(sys.executable, *build_py, cwd=checkout)
    assert (tmp_path / "lib" / "fastload" / "gone.py").exists()
    (checkout / "fastload" / "gone.py").unlink()
    run(sys.executable, *build_py, cwd=checkout)
    packed = [path.name for path in (tmp_path / "lib" / "fastload").iterdir()]
    assert "loader.py" in packed and "gone.py" not in packed


TRAIN = """
import torch.multiprocessing
import torch.utils.data

def rank(number):
    print(number, type(torch.utils.data.DataLoader([1])).__module__, flush=True)

if __name__ == "__main__":
    rank("script")
    torch.multiprocessing.spawn(rank, nprocs=1)
"""


def test_an_installed_one_reaches_the_processes_that_a_script_starts(checkout, tmp_path):
    setup = (checkout / "setup.py").read_text()
    (checkout / "setup.py").write_text(setup.replace("ext_modules=", "ext_modules=[] and "))  # the core is copied
    python = make_environment(tmp_path / "environment")
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", ".", cwd=checkout)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    assert (packages / "fastload-run.pth").exists()
    for core in (ROOT / "fastload").glob(f"_core*{sysconfig.get_config_var('EXT_SUFFIX')}"):
        shutil.copy(core, packages / "fastload")
    (tmp_path / "train.py").write_text(TRAIN)
    said = run(python, "-m", "fastload", "run", "train.py", cwd=tmp_path)
    assert said.split("\n")[:2] == ["script fastload.loader", "0 fastload.loader"]
    said = run(python, "train.py", cwd=tmp_path)  # the file does nothing by itself
    assert said.split("\n")[:2] == ["script torch.utils.data.dataloader", "0 torch.utils.data.dataloader"]
