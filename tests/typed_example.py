"""A training script as its types are seen: `make lint` runs mypy --strict and pyright over it. Nothing here is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torchvision.transforms.v2 as v2
from typing_extensions import assert_type

import fastload
from fastload import DataLoader, ImageFiles, ImageFolder, StatefulDataLoader

TRANSFORM = v2.Compose([v2.RandomResizedCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def train(root: Path, model: torch.nn.Module) -> float:
    dataset = ImageFolder(str(root), TRANSFORM)
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=256, shuffle=True, num_workers=8, threads="auto", on_error="skip", max_errors=0.01
    )
    fastload.require_native(loader)
    total = torch.zeros(())
    for images, targets in loader:
        total += torch.nn.functional.cross_entropy(model(images), targets)
    assert_type(loader.explain(), str)
    assert_type(loader.errors, list[fastload.SampleError])
    assert_type(len(loader), int)
    return total.item()


def go_on(paths: list[Path], state: dict[str, Any] | None) -> dict[str, Any]:
    loader: StatefulDataLoader[Any] = StatefulDataLoader(ImageFiles(paths, range(len(paths)), TRANSFORM), batch_size=4)
    if state is not None:
        loader.load_state_dict(state)
    next(iter(loader))
    assert_type(loader.state_dict(), dict[str, Any])
    return loader.state_dict()


def in_place_of_torchs(error: fastload.FastloadError) -> str:
    fastload.install()
    try:
        return str(error)
    finally:
        fastload.uninstall()


# What is wrong is said to be wrong. Both checkers report a comment that hides nothing.
def wrong() -> None:
    DataLoader([1, 2, 3], threads=[2])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ImageFiles(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fastload.no_such_name()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
