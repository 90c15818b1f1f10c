"""The kernels of csrc/device, compiled for a GPU and launched there: by NVRTC, which torch brings, and the driver. No toolkit is
needed.

A program is compiled once for each kind of GPU and kept in the user's cache folder, by what it is made of.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import glob
import hashlib
import importlib.util
import os
import secrets
from pathlib import Path
from typing import Any

import torch

from fastload import _core
from fastload.shards import cache_folder

# Exact arithmetic: a multiplication and a sum that are one operation round once (csrc/device/resample.h).
_OPTIONS = ("--std=c++17", "--fmad=false")
_SHARED_BYTES_ATTRIBUTE = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


class KernelError(RuntimeError):
    """The kernels cannot be compiled or run here."""


class Launch(ctypes.Structure):
    """What each kernel is given: csrc/device/kernels.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("block", "scratch", "out", "faults")),
        ("works", ctypes.c_uint64),
        *((name, ctypes.c_int32) for name in ("width", "height", "images", "parts")),
    )


class Program:
    """The kernels, loaded on one device; of any thread on which torch uses that device."""

    def __init__(self, device: torch.device) -> None:
        self._driver = _driver()
        self._functions: dict[str, ctypes.c_void_p] = {}
        self._module = ctypes.c_void_p()
        with torch.cuda.device(device):
            torch.cuda.synchronize()  # there is a context now, and it is current
            self.multiprocessors: int = torch.cuda.get_device_properties(device).multi_processor_count
            major, minor = torch.cuda.get_device_capability()
            code = compiled(major, minor)
            if self._driver.cuModuleLoadData(ctypes.byref(self._module), code) != 0:
                code = compiled(major, minor, anew=True)  # a file that was damaged
                self._checked(self._driver.cuModuleLoadData(ctypes.byref(self._module), code), "loaded")

    def function(self, name: str, shared_bytes: int = 0) -> ctypes.c_void_p:
        """A kernel by its name, which may have so much shared memory."""
        if name not in self._functions:
            function = ctypes.c_void_p()
            found = self._driver.cuModuleGetFunction(ctypes.byref(function), self._module, name.encode())
            self._checked(found, f"found: {name}")
            if shared_bytes:
                given = self._driver.cuFuncSetAttribute(function, _SHARED_BYTES_ATTRIBUTE, shared_bytes)
                self._checked(given, f"given {shared_bytes} bytes of shared memory")
            self._functions[name] = function
        return self._functions[name]

    def launch(
        self, function: ctypes.c_void_p, grid: tuple[int, int, int], threads: int, shared: int, stream: int, given: Any
    ) -> None:
        """On a stream of torch's (``stream.cuda_stream``); ``given``: pointers to the kernel's arguments."""
        launched = self._driver.cuLaunchKernel(
            function, *grid, threads, 1, 1, shared, ctypes.c_void_p(stream), given, None
        )
        self._checked(launched, "launched")

    def _checked(self, result: int, done: str) -> None:
        if result != 0:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(result, ctypes.byref(text))
            raise KernelError(f"fastload's kernels cannot be {done}: {(text.value or b'?').decode()}")


@functools.cache
def program_on(device: torch.device) -> Program:
    """The one program of a device, for all loaders of this process: what is loaded there stays. Raises KernelError."""
    return Program(device)


def why_no_kernels() -> str:
    """Why there can be none; empty if there seems to be what they are compiled with."""
    return "" if _nvrtc_files() else "torch brings no NVRTC, which compiles fastload's kernels"


def compiled(major: int, minor: int, *, anew: bool = False) -> bytes:
    """The program for GPUs of this compute capability, out of the cache if it is there. Raises KernelError."""
    version = _nvrtc_version()
    made_of = repr((version, major, minor, _OPTIONS, _core.kernel_sources()))
    name = f"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.cubin"
    folder = _folder()
    if folder is not None and not anew:
        with contextlib.suppress(OSError):
            return (folder / name).read_bytes()
    code = compile_kernels(major, minor)
    if folder is not None:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            new = folder / f"{name}.{secrets.token_hex(4)}"
            new.write_bytes(code)
            new.replace(folder / name)
    return code


def compile_kernels(major: int, minor: int) -> bytes:
    """The same, compiled: for the GPU itself, or as PTX of the newest that NVRTC knows. Raises KernelError."""
    nvrtc = _nvrtc()
    known = _architectures(nvrtc)
    number = 10 * major + minor
    if number in known:
        return _compile(nvrtc, f"sm_{number}", "CUBIN")
    older = [one for one in known if one < number]
    if not older:
        raise KernelError(f"NVRTC {_nvrtc_version()} knows no GPU as old as compute capability {major}.{minor}")
    return _compile(nvrtc, f"compute_{max(older)}", "PTX")


def _compile(nvrtc: ctypes.CDLL, architecture: str, kind: str) -> bytes:
    sources = _core.kernel_sources()
    *names, last = sources
    program = ctypes.c_void_p()
    headers = (ctypes.c_char_p * len(names))(*(sources[name].encode() for name in names))
    included = (ctypes.c_char_p * len(names))(*(name.encode() for name in names))
    options = [option.encode() for option in (f"--gpu-architecture={architecture}", *_OPTIONS)]
    given = (ctypes.c_char_p * len(options))(*options)
    text = sources[last].encode()
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, last.encode(), len(names), headers, included) != 0:
        raise KernelError("NVRTC takes no program")
    try:
        if nvrtc.nvrtcCompileProgram(program, len(options), given) != 0:
            log = _got(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
            raise KernelError(f"NVRTC cannot compile fastload's kernels: {log.decode(errors='replace')[:2000]}")
        return _got(getattr(nvrtc, f"nvrtcGet{kind}Size"), getattr(nvrtc, f"nvrtcGet{kind}"), program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _got(get_size: Any, get: Any, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    get_size(program, ctypes.byref(size))
    data = ctypes.create_string_buffer(size.value)
    get(program, data)
    return data.raw


def _architectures(nvrtc: ctypes.CDLL) -> list[int]:
    count = ctypes.c_int()
    nvrtc.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    known = (ctypes.c_int * count.value)()
    nvrtc.nvrtcGetSupportedArchs(known)
    return list(known)


@functools.cache
def _nvrtc_version() -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    """With what it loads itself, which it does not always find."""
    last: OSError | None = None
    for path in _nvrtc_files():
        try:
            for beside in glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "libnvrtc-builtins*.so*")):
                ctypes.CDLL(beside)
            return ctypes.CDLL(path)
        except OSError as error:
            last = error
    raise KernelError(why_no_kernels() or f"NVRTC cannot be loaded: {last}")


@functools.cache
def _nvrtc_files() -> tuple[str, ...]:
    """Beside torch, or in the packages of NVIDIA's that its wheels need; of the CUDA that torch was built for."""
    major = (torch.version.cuda or "").partition(".")[0]
    if not major:
        return ()
    folders = [os.path.join(os.path.dirname(torch.__file__), "lib")]
    for root in _packages_of_nvidia():
        folders += [os.path.join(root, f"cu{major}", "lib"), os.path.join(root, "cuda_nvrtc", "lib")]
    names = (f"libnvrtc.so.{major}*", f"libnvrtc-*.so.{major}*")
    found = [
        path for folder in folders for name in names for path in glob.glob(os.path.join(glob.escape(folder), name))
    ]
    by_loader = [f"libnvrtc.so.{major}"] if not found and _loads(f"libnvrtc.so.{major}") else []
    return tuple(path for path in [*found, *by_loader] if "builtins" not in path)


def _packages_of_nvidia() -> list[str]:
    try:
        spec = importlib.util.find_spec("nvidia")
    except ModuleNotFoundError:
        return []
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


@functools.cache
def _driver() -> ctypes.PyDLL:
    """Its functions return at once, so Python's lock is kept: to have it again could take longer than they do."""
    try:
        return ctypes.PyDLL("libcuda.so.1")
    except OSError as error:
        raise KernelError(f"there is no driver of NVIDIA's: {error}") from error


def _folder() -> Path | None:
    try:
        return cache_folder() / "kernels"
    except OSError:
        return None
