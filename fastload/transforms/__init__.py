"""torchvision transforms as they are written -> what the engine does natively, and what is left to Python."""

from fastload.transforms.batch_mixing import Collating, Mixing, read_collate
from fastload.transforms.code_world import OPERATORS, Look, Method, NotCertain, World, function_of, still_holds
from fastload.transforms.function_copies import as_it_is_now
from fastload.transforms.pixel_values import Pixelwise
from fastload.transforms.pure_functions import why_impure
from fastload.transforms.read_code import run
from fastload.transforms.replaced_functions import Reach, reach, stands_for, together
from fastload.transforms.split_transforms import Reading, name_of, read
from fastload.transforms.static_attributes import MODULE_HOOKS, has_hooks, inherits, own_of
from fastload.transforms.torch_modes import gives_tv_tensors, why_modes_not_native

__all__ = [
    "MODULE_HOOKS",
    "OPERATORS",
    "Collating",
    "Look",
    "Method",
    "Mixing",
    "NotCertain",
    "Pixelwise",
    "Reach",
    "Reading",
    "World",
    "as_it_is_now",
    "function_of",
    "gives_tv_tensors",
    "has_hooks",
    "inherits",
    "name_of",
    "own_of",
    "reach",
    "read",
    "read_collate",
    "run",
    "stands_for",
    "still_holds",
    "together",
    "why_impure",
    "why_modes_not_native",
]
