"""Settings of torch and torchvision, and modes of the calling thread, that change what a transform draws or gives."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch.nn.modules import module
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torchvision.tv_tensors import _torch_function_helpers as return_type

# Called by every module that is called.
_HOOKS = [module._global_forward_pre_hooks, module._global_forward_hooks]
# Looked up once: they are asked before each sample.
_default_dtype, _default_device = torch.get_default_dtype, torch._C._get_default_device
_function_modes, _dispatch_modes = torch._C._len_torch_function_stack, torch._C._len_torch_dispatch_stack
_interpreters = torch._C._functorch.peek_interpreter_stack
_SMALLEST = [5e-324]  # a subnormal number, which the compiler shall not fold


def now() -> tuple[Any, ...]:
    """All of them, to be compared."""
    return (
        _default_dtype(),
        _default_device(),
        return_type._TORCHFUNCTION_SUBCLASS,
        torchvision.get_image_backend(),
        _modes(),
        bool(_HOOKS[0] or _HOOKS[1]),
        _SMALLEST[0] * 1.0 == 0.0,
    )


def gives_tv_tensors() -> bool:
    """Whether what torch makes of an image is an image of torchvision's type: ``tv_tensors.set_return_type("TVTensor")``."""
    return return_type._TORCHFUNCTION_SUBCLASS


def flushes_subnormals() -> bool:
    """Whether ``torch.set_flush_denormal(True)`` holds in this thread."""
    return _SMALLEST[0] * 1.0 == 0.0


def _modes() -> tuple[Any, ...]:
    """Of torch, that are active in this thread."""
    modes: tuple[Any, ...] = ()
    if _function_modes():
        modes = tuple(_get_current_function_mode_stack())
    if _dispatch_modes():
        modes += tuple(_get_current_dispatch_mode_stack())
    if _interpreters() is not None:
        modes += ("functorch",)
    return modes


def why_modes_not_native() -> str:
    """Why nothing can be made natively under the settings of this thread; empty if it can."""
    if _default_device() != "cpu":
        return f"torch makes tensors on {_default_device()}"
    for mode in _modes():
        if isinstance(mode, DeviceContext):
            if mode.device.type != "cpu":
                return f"torch's default device is {mode.device}"
        else:
            name = mode if isinstance(mode, str) else f"{type(mode).__module__}.{type(mode).__qualname__}"
            return f"torch's functions are changed by {name}"
    if any(_HOOKS):
        return "there are hooks on all modules"
    return ""
