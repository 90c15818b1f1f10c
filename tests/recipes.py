"""Transforms that people train and evaluate with, by name; all native."""

from __future__ import annotations

import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2


class InPython:
    """A step of a program's own: it draws, and changes the tensor."""

    def __init__(self, most: float = 1.0) -> None:
        self.most = most

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.most * torch.rand(1)

    def __repr__(self) -> str:
        return f"InPython({self.most})"


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

TRAIN = {
    "v1": v1.Compose([v1.RandomResizedCrop(64), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)]),
    "v2": v2.Compose(
        [
            v2.RandomResizedCrop(64),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    ),
}

RECIPES = {
    **{f"train-{name}": recipe for name, recipe in TRAIN.items()},
    "evaluate": v1.Compose([v1.Resize(72), v1.CenterCrop(64), v1.ToTensor(), v1.Normalize(MEAN, STD)]),
    "evaluate-v2": v2.Compose(
        [v2.Resize(72, antialias=True), v2.CenterCrop(64), v2.PILToTensor(), v2.ConvertImageDtype()]
    ),
    "bytes": v1.Compose([v1.Resize((40, 52), v1.InterpolationMode.BICUBIC), v1.PILToTensor()]),
    "lanczos": v1.Compose([v1.Resize((33, 47), v1.InterpolationMode.LANCZOS), v1.ToTensor()]),
    "nearest": v1.Compose([v1.RandomResizedCrop((30, 50), interpolation=v1.InterpolationMode.NEAREST), v1.ToTensor()]),
    "box": v2.Compose([v2.Resize((50, 31), v2.InterpolationMode.BOX), v2.ToImage()]),
    "hamming": v2.Compose([v2.Resize((50, 31), v2.InterpolationMode.HAMMING), v2.ToImage(), v2.ToDtype(torch.float32)]),
    "max-size": v1.Compose([v1.Resize(60, max_size=70), v1.CenterCrop(50), v1.ToTensor()]),
    "crop-of-small": v1.Compose([v1.CenterCrop((150, 90)), v1.ToTensor()]),
    "random-crop": v1.Compose([v1.RandomCrop(40, pad_if_needed=True), v1.ToTensor()]),
    "random-crop-v2": v2.Compose([v2.RandomCrop(40, padding=(3, 5), pad_if_needed=True, fill=7), v2.ToImage()]),
    "random-crop-reflect": v1.Compose(
        [v1.RandomCrop((40, 60), (4, 1, 9, 2), True, padding_mode="reflect"), v1.ToTensor()]
    ),
    "random-crop-edge": v2.Compose([v2.RandomCrop((40, 60), [4, 1, 9, 2], True, padding_mode="edge"), v2.ToImage()]),
    "random-crop-symmetric": v1.Compose([v1.RandomCrop((220, 60), None, True, 3, "symmetric"), v1.ToTensor()]),
    "flips": v1.Compose([v1.RandomVerticalFlip(0.3), v1.RandomResizedCrop(32), v1.RandomVerticalFlip(), v1.ToTensor()]),
    "flip-of-tensor": v2.Compose(
        [v2.RandomResizedCrop(32), v2.ToImage(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float16, True)]
    ),
    "gray": v1.Compose([v1.Grayscale(), v1.RandomResizedCrop(32), v1.ToTensor(), v1.Normalize([0.5], [0.25])]),
    "gray-three": v2.Compose(
        [v2.RandomResizedCrop(32), v2.Grayscale(3), v2.ToImage(), v2.ToDtype(torch.bfloat16, scale=True)]
    ),
    "random-gray": v1.Compose([v1.RandomResizedCrop(32), v1.RandomGrayscale(0.5), v1.ToTensor()]),
    "double": v2.Compose([v2.RandomResizedCrop(32), v2.ToImage(), v2.ToDtype(torch.float64, scale=True)]),
    "identity": v1.Compose([torch.nn.Identity(), v1.RandomResizedCrop(32), v2.Identity(), v1.ToTensor()]),
    "nested": v1.Compose([v1.Compose([v1.RandomResizedCrop(32)]), v2.Compose([v2.ToImage(), v2.ToPureTensor()])]),
    "default-sizes": v1.Compose([v1.RandomResizedCrop((224, 224), ratio=(0.5, 3.0), scale=(0.01, 0.2)), v1.ToTensor()]),
}
