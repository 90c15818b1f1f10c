"""The kernels compile with the NVRTC that torch brings, for every kind of GPU, where there is none; and the program is kept."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest
import torch

from fastload import _core
from fastload.gpu import kernel_program
from fastload.gpu.kernel_program import KernelError, Launch, compile_kernels, compiled, why_no_kernels
from fastload.gpu.window_kernels import WindowKernels

pytestmark = pytest.mark.skipif(bool(why_no_kernels()), reason=why_no_kernels() or "there is NVRTC")
KERNELS = (b"prepare", b"read_codes", b"transform_blocks", b"first_pass", b"second_pass")
ELF = b"\x7fELF"


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)], ids=str)
def test_the_kernels_compile(capability):
    number = 10 * capability[0] + capability[1]
    if number not in kernel_program._architectures(kernel_program._nvrtc()):
        pytest.skip(f"NVRTC {kernel_program._nvrtc_version()} does not know sm_{number}")
    code = compile_kernels(*capability)
    assert code.startswith(ELF) and all(name in code for name in KERNELS)


def test_a_gpu_that_nvrtc_does_not_know_gets_the_newest_ptx():
    newest = max(kernel_program._architectures(kernel_program._nvrtc()))
    code = compile_kernels(99, 0)
    assert f".target sm_{newest}".encode() in code and b".entry read_codes" in code
    with pytest.raises(KernelError, match=r"as old as compute capability 3\.0"):
        compile_kernels(3, 0)


def test_it_is_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    monkeypatch.setattr(
        kernel_program, "compile_kernels", lambda *given: made.append(given) or b"code of %d.%d" % given
    )
    assert compiled(9, 0) == compiled(9, 0) == b"code of 9.0"
    assert compiled(8, 0) == b"code of 8.0" and made == [(9, 0), (8, 0)]
    assert compiled(9, 0, anew=True) == b"code of 9.0" and len(made) == 3
    monkeypatch.setattr(_core, "kernel_sources", lambda: {"device/kernels.h": "other"})
    assert compiled(9, 0) == b"code of 9.0" and len(made) == 4
    assert len(list((tmp_path / "fastload" / "kernels").iterdir())) == 3


def test_loaders_of_a_device_share_what_is_loaded_there(monkeypatch):
    loaded = []

    class Counted:
        def __init__(self, device):
            loaded.append(device)

        def function(self, name, shared_bytes=0):
            pass

    monkeypatch.setattr(kernel_program, "Program", Counted)
    devices = [torch.device("cuda", number) for number in (96, 97, 96, 97)]
    for device in devices:
        WindowKernels(SimpleNamespace(stream=object(), device=device))
    assert loaded == devices[:2]


def test_what_does_not_compile_is_told(monkeypatch):
    monkeypatch.setattr(_core, "kernel_sources", lambda: {"device/kernels.h": "no such thing;"})
    with pytest.raises(KernelError, match="cannot compile"):
        compile_kernels(9, 0)


def test_without_a_driver_it_is_said():
    if kernel_program._loads("libcuda.so.1"):
        pytest.skip("there is a driver")
    with pytest.raises(KernelError, match="no driver"):
        kernel_program._driver.__wrapped__()


def test_what_a_kernel_is_given_is_of_the_size_that_it_takes():
    assert f"sizeof(Launch) == {ctypes.sizeof(Launch)}" in _core.kernel_sources()["device/kernels.h"]
