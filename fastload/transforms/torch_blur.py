"""What the engine asks of torch for a Gaussian blur; its threads call these functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from torchvision.transforms import _functional_tensor as v1_tensors
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as v2
from torchvision.transforms.v2.functional import _misc as v2_misc

_CPU = torch.device("cpu")


def kernel(width: int, height: int, sigma: float, is_v2: bool) -> npt.NDArray[np.float32]:
    """torchvision's, float32 [height, width]."""
    made = (v2_misc if is_v2 else v1_tensors)._get_gaussian_kernel2d(
        [width, height], [sigma, sigma], dtype=torch.float32, device=_CPU
    )
    array: npt.NDArray[np.float32] = made.numpy()
    return array


def blurred(
    rgb: npt.NDArray[np.uint8], width: int, height: int, sigma: float, is_v2: bool, is_gray: bool
) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3] of an image that torchvision blurred. ``is_gray``: as an image of one channel."""
    image = PIL.Image.fromarray(rgb[:, :, 0] if is_gray else rgb)
    made = (v2 if is_v2 else v1).gaussian_blur(image, [width, height], [sigma, sigma])
    return np.asarray(made.convert("RGB"))
