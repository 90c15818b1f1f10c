"""Builds fastload._core with CMake; everything else is in pyproject.toml."""

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import setuptools

# What pyproject.toml asks for; with --no-build-isolation nobody has seen to it.
SETUPTOOLS = 77
HOW = "Either install without --no-build-isolation, or first: pip install 'setuptools>=77' 'pybind11>=2.13' 'cmake>=3.18' ninja"
if int(setuptools.__version__.split(".")[0]) < SETUPTOOLS:
    sys.exit(f"fastload is built by setuptools {SETUPTOOLS} or newer, and this is {setuptools.__version__}. {HOW}")

from setuptools import Extension, setup  # noqa: E402
from setuptools.command.bdist_wheel import bdist_wheel  # noqa: E402
from setuptools.command.build import build  # noqa: E402
from setuptools.command.build_ext import build_ext  # noqa: E402
from setuptools.command.editable_wheel import editable_wheel  # noqa: E402

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "packaging"))
import bundled  # noqa: E402

# What Python reads when it starts, beside the packages that are installed: see fastload/processes.py.
PTH = ROOT / "packaging" / "fastload-run.pth"
# What CMake reads when it first looks at a build folder, and never again.
FIRST_READ = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CMAKE_ARGS", "FASTLOAD_JPEG", "FASTLOAD_JPEG_SOURCE")


class Build(build):
    """Begins with an empty folder: a module that was moved since the last build is not packed."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        shutil.copy(PTH, self.build_lib)


class EditableWheel(editable_wheel):
    """With our .pth file, too."""

    def run(self) -> None:
        super().run()
        for wheel in Path(self.dist_dir).glob("*editable*.whl"):
            with zipfile.ZipFile(wheel, "a") as archive:
                archive.write(PTH, PTH.name)


class Wheel(bdist_wheel):
    """With the licence texts and the bill of materials of what the core carries."""

    is_editable = True  # then this command is asked for one file, and never run

    def run(self) -> None:
        self.is_editable = False
        super().run()

    def write_wheelfile(self, wheelfile_base: str, *arguments: str) -> None:
        super().write_wheelfile(wheelfile_base, *arguments)
        if self.distribution.has_ext_modules() and not self.is_editable:
            folder = Path(self.get_finalized_command("build_ext").build_temp)
            parts = [bundled.libjpeg(folder / "libjpeg.json"), bundled.pybind11()]
            bundled.add(Path(wheelfile_base), self.distribution.get_name(), self.distribution.get_version(), parts)


class CMakeBuild(build_ext):
    """One extension, one CMake project."""

    def build_extension(self, ext: Extension) -> None:
        lacking = [tool for tool in ("cmake", "ninja") if shutil.which(tool) is None]
        lacking += [] if importlib.util.find_spec("pybind11") else ["pybind11"]
        if lacking:
            named = " and ".join(lacking)
            sys.exit(f"fastload's core is built with {named}, not found here (an activated environment's are). {HOW}")
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        folder = Path(self.build_temp).resolve()
        options = {
            "CMAKE_BUILD_TYPE": "Debug" if self.debug else "Release",
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            **{name: os.environ[name] for name in FIRST_READ if name.startswith("FASTLOAD") and os.environ.get(name)},
        }
        # CMake remembers the tools that a folder was made with, and pip's are gone a minute later: with others, it begins anew.
        tools = {"source": str(ROOT), "cmake": shutil.which("cmake"), "ninja": shutil.which("ninja"), **options}
        made_with = json.dumps({**tools, **{name: os.environ.get(name) for name in FIRST_READ}}, indent=1)
        note = folder / "made_with.json"
        if not note.exists() or note.read_text() != made_with:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            note.write_text(made_with)
        options["CMAKE_LIBRARY_OUTPUT_DIRECTORY"] = str(target)
        configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja"]
        configure += [f"-D{name}={value}" for name, value in options.items()] + shlex.split(
            os.environ.get("CMAKE_ARGS", "")
        )
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(folder), "--target", "_core"], check=True)


setup(
    ext_modules=[Extension("fastload._core", sources=[])],
    cmdclass={"bdist_wheel": Wheel, "build": Build, "build_ext": CMakeBuild, "editable_wheel": EditableWheel},
)
