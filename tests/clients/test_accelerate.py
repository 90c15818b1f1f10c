"""HF Accelerate: ``prepare`` builds a loader of its own from whatever loader it gets."""

from __future__ import annotations

import accelerate
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder

import fastload
from training import CLASSES, IMAGES, TRAIN, Network, assert_native, assert_same_losses, optimizer_of

BATCH, EPOCHS = 8, 2
STEPS = -(-CLASSES * IMAGES // BATCH)


@pytest.fixture(autouse=True)
def no_accelerator_before_or_after():
    """Accelerate keeps its state in the class."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def train(loader, skip=0):
    """The losses, and the loader that ``prepare`` made."""
    torch.manual_seed(3)
    network = Network()
    accelerator = accelerate.Accelerator(cpu=True)
    network, optimizer, prepared = accelerator.prepare(network, optimizer_of(network), loader)
    losses = []
    for epoch in range(EPOCHS):
        batches = accelerator.skip_first_batches(prepared, skip) if epoch == 0 and skip else prepared
        for images, targets in batches:
            with accelerator.accumulate(network):
                loss = cross_entropy(network(images), targets)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.item())
    return losses, prepared


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("loader_class", [torch.utils.data.DataLoader, fastload.DataLoader], ids=["torch", "fastload"])
def test_on_its_own_the_data_set_decodes_natively(root, natively, loader_class, num_workers):
    """The prepared loader is torch's own again, over a data set that makes its items natively."""
    options = {"batch_size": BATCH, "shuffle": True, "num_workers": num_workers}
    stock, _ = train(torch.utils.data.DataLoader(ImageFolder(root, TRAIN), **options))
    with natively():
        ours, prepared = train(loader_class(fastload.ImageFolder(root, TRAIN), **options))
    assert type(prepared.base_dataloader) is torch.utils.data.DataLoader
    assert_same_losses(ours, stock, EPOCHS * STEPS)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 3}],
    ids=["no-workers", "workers", "persistent"],
)
def test_after_install_prepare_builds_ours(root, natively, installed, options):
    options = {"batch_size": BATCH, "shuffle": True, **options}
    stock, _ = train(torch.utils.data.DataLoader(ImageFolder(root, TRAIN), **options))
    with natively(), installed():
        ours, prepared = train(torch.utils.data.DataLoader(ImageFolder(root, TRAIN), **options))
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert type(prepared.base_dataloader) is fastload.DataLoader
    assert_native(prepared.base_dataloader, images=CLASSES * IMAGES)


def test_after_install_first_batches_are_skipped(root, natively, installed):
    options = {"batch_size": BATCH, "shuffle": True, "num_workers": 2}
    stock, _ = train(torch.utils.data.DataLoader(ImageFolder(root, TRAIN), **options), skip=2)
    with natively(), installed():
        ours, _ = train(torch.utils.data.DataLoader(ImageFolder(root, TRAIN), **options), skip=2)
    assert_same_losses(ours, stock, EPOCHS * STEPS - 2)


def test_uninstall_gives_accelerate_torchs_loader_back(root, installed):
    with installed():
        pass
    _, prepared = train(torch.utils.data.DataLoader(ImageFolder(root, TRAIN), batch_size=BATCH))
    assert type(prepared.base_dataloader) is torch.utils.data.DataLoader
