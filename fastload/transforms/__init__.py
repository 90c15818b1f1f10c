"""torchvision transforms as they are written -> what the engine does natively, and what is left to Python."""

from fastload.transforms.pixel_values import Pixelwise
from fastload.transforms.replaced_functions import Reach, reach, together
from fastload.transforms.split_transforms import Reading, name_of, read
from fastload.transforms.torch_modes import gives_tv_tensors, why_modes_not_native

__all__ = [
    "Pixelwise",
    "Reach",
    "Reading",
    "gives_tv_tensors",
    "name_of",
    "reach",
    "read",
    "together",
    "why_modes_not_native",
]
