"""Builds fastload._core with CMake; everything else is in pyproject.toml."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
# What CMake reads when it first looks at a build folder, and never again.
FIRST_READ = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CMAKE_ARGS", "FASTLOAD_JPEG", "FASTLOAD_JPEG_SOURCE")


class Build(build):
    """Begins with an empty folder: a module that was moved since the last build is not packed."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class CMakeBuild(build_ext):
    """One extension, one CMake project."""

    def build_extension(self, ext: Extension) -> None:
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
    cmdclass={"build": Build, "build_ext": CMakeBuild},
)
