"""The core's libjpeg-turbo is its own: no other libjpeg in the process serves it, and it serves nobody else."""

from __future__ import annotations

import functools
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jpeg_forms import noise, pillow_jpeg

from children import environment, run
from fastload import _core

CORE = Path(_core.__file__)
CALLED = [
    *("std_error", "CreateDecompress", "destroy_decompress", "read_header", "start_decompress", "read_scanlines"),
    *("crop_scanline", "skip_scanlines", "has_multiple_scans", "calc_output_dimensions", "resync_to_restart"),
]
LIBRARIES = ("core", "torchvision", "PIL", "cv2")

# Decodes a file with each library, in the order of the arguments, then once more; prints what each gave.
CHILD = """
import hashlib, importlib.util, sys
import numpy as np

path, core, *order = sys.argv[1:]
data = open(path, "rb").read()

def load_core():
    # By its path, so that neither torch nor anything else of the package comes in before it.
    spec = importlib.util.spec_from_file_location("fastload._core", core)
    sys.modules["fastload._core"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda: module.jpeg_decode(data)

def load_torchvision():
    import torch, torchvision.io
    bytes_ = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return lambda: torchvision.io.decode_jpeg(bytes_).permute(1, 2, 0).contiguous().numpy()

def load_PIL():
    import io, PIL.Image
    return lambda: np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))

def load_cv2():
    import cv2
    return lambda: np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])

decoders = {}
for name in order:
    decoders[name] = globals()["load_" + name]()
    decoders[name]()
for name in order:
    print(name, hashlib.sha256(np.ascontiguousarray(decoders[name]()).tobytes()).hexdigest())
"""


def digests(jpeg: Path, *order: str, **variables: str) -> dict[str, str]:
    """What each library makes of the file, in a fresh process that loads them in this order."""
    done = run(sys.executable, "-c", CHILD, jpeg, CORE, *order, env=environment(**variables))
    assert done.returncode == 0, f"{order}: {done.returncode}\n{done.stderr}"
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    import PIL.Image

    path = tmp_path_factory.mktemp("libjpeg") / "image.jpg"
    path.write_bytes(pillow_jpeg(PIL.Image.fromarray(noise(203, 151, 3)), quality=90, subsampling=2))
    return path


@pytest.fixture(scope="module")
def alone(jpeg):
    """Gives what another library makes of the file in a process of its own."""
    return functools.cache(lambda name: digests(jpeg, name)[name])


def assert_all_equal(jpeg, alone, order):
    found = digests(jpeg, *order)
    expected = {name: alone("PIL" if name == "core" else name) for name in LIBRARIES}
    assert found == expected, f"loaded in the order {order}"


@pytest.mark.parametrize("order", [LIBRARIES], ids="-".join)
def test_others_before_and_after(jpeg, alone, order):
    assert_all_equal(jpeg, alone, order)


# For each order a fork that loads the libraries in it. torch, which has no libjpeg, takes seconds to import.
FORKS = f"""
import os, sys
import torch

orders = sys.argv[3:]
for order in orders:
    if os.fork() == 0:
        sys.argv[3:] = order.split("-")
        exec({CHILD!r})
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, order
"""


@pytest.mark.slow
def test_others_in_each_order(jpeg, alone):
    orders = list(itertools.permutations(LIBRARIES))
    done = run(sys.executable, "-c", FORKS, jpeg, CORE, *map("-".join, orders))
    assert done.returncode == 0, done.stderr
    found = done.stdout.splitlines()
    assert [line.split()[0] for line in found] == [name for order in orders for name in order]
    assert {tuple(line.split()) for line in found} == {
        (name, alone("PIL" if name == "core" else name)) for name in LIBRARIES
    }


# Whoever is loaded first has the names: here, before all others, a libjpeg of either ABI in which every function aborts.
@pytest.mark.parametrize(("soname", "version"), [("libjpeg.so.62", "LIBJPEG_6.2"), ("libjpeg.so.8", "LIBJPEG_8.0")])
def test_a_strangers_libjpeg_is_never_called(jpeg, alone, tmp_path, soname, version):
    compiler = shutil.which("cc") or shutil.which("c++")
    assert compiler, "the build needs a compiler too"
    source = tmp_path / "stranger.c"
    source.write_text("#include <stdlib.h>\n" + "".join(f"void jpeg_{name}(void) {{ abort(); }}\n" for name in CALLED))
    script = tmp_path / "versions"
    script.write_text(f"{version} {{ global: jpeg_*; }};\n")
    library = tmp_path / soname
    linking = ["-shared", "-fPIC", f"-Wl,-soname,{soname}", f"-Wl,--version-script,{script}"]
    subprocess.run([compiler, "-x", "c", str(source), *linking, "-o", str(library)], check=True)
    assert digests(jpeg, "core", LD_PRELOAD=str(library)) == {"core": alone("PIL")}


def readelf(*options: str) -> str:
    program = shutil.which("readelf")
    assert program, "readelf comes with the linker that the build needs"
    return subprocess.run([program, "--wide", *options, str(CORE)], capture_output=True, text=True, check=True).stdout


def test_the_core_neither_needs_nor_exports_libjpeg():
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("--dynamic"))
    assert "libc.so.6" in needed and not [name for name in needed if "jpeg" in name]
    symbols = [line.split()[7].split("@")[0] for line in readelf("--dyn-syms").splitlines() if len(line.split()) > 7]
    assert "PyInit__core" in symbols
    assert not [name for name in symbols if re.match(r"(jpeg|jsimd|jinit|jdiv|jround|jcopy|jzero|std_huff|tj)", name)]
