"""PyTorch Lightning's Trainer: it copies loaders, gives them other samplers, and stores and restores their state."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder

import fastload
from children import environment, run
from training import (
    CLASSES,
    EVALUATE,
    IMAGES,
    TRAIN,
    Network,
    assert_native,
    assert_same_losses,
    optimizer_of,
)

pytestmark = [
    # Lightning's advice on numbers of workers
    pytest.mark.filterwarnings("ignore:.*does not have many workers which may be a bottleneck"),
    # Lightning asks torch's trees in a way that torch 2.11 says to avoid
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
]

BATCH = 8
STEPS = CLASSES * IMAGES // BATCH


class Classifier(lightning.LightningModule):
    """Keeps the loss of every step; makes its own loaders if it is given a way to."""

    def __init__(self, loaders=None) -> None:
        super().__init__()
        self.network = Network()
        self.losses: list[float] = []
        self.validation_losses: list[float] = []
        if loaders is not None:
            self.train_dataloader, self.val_dataloader = loaders

    def configure_optimizers(self):
        return optimizer_of(self.network)

    def training_step(self, batch, index):
        images, targets = batch
        loss = cross_entropy(self.network(images), targets)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch, index):
        images, targets = batch
        self.validation_losses.append(cross_entropy(self.network(images), targets).item())

    def predict_step(self, batch, index):
        return self.network(batch[0])


def trainer(**options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(
        accelerator="cpu", devices=1, **quiet, **{"enable_checkpointing": False, "max_epochs": 2, **options}
    )


@pytest.mark.parametrize("hooks", [False, True], ids=["passed", "hooks"])
@pytest.mark.parametrize(
    "options",
    [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}],
    ids=["no-workers", "workers", "persistent"],
)
def test_fit_with_validation(root, validation_root, natively, hooks, options):
    def fit(loader_class):
        torch.manual_seed(5)
        made = []

        def train():
            made.append(loader_class(ImageFolder(root, TRAIN), BATCH, shuffle=True, drop_last=True, **options))
            return made[-1]

        def validation():
            made.append(loader_class(ImageFolder(validation_root, EVALUATE), 5, **options))
            return made[-1]

        module = Classifier((train, validation) if hooks else None)
        here = trainer(use_distributed_sampler=True)
        here.fit(module, **({} if hooks else {"train_dataloaders": train(), "val_dataloaders": validation()}))
        return module, here

    stock, _ = fit(torch.utils.data.DataLoader)
    with natively():
        ours, here = fit(fastload.DataLoader)
    assert_same_losses(ours.losses, stock.losses, 2 * STEPS)
    sanity = 2
    assert_same_losses(ours.validation_losses, stock.validation_losses, sanity + 2 * 3)
    assert_native(here.train_dataloader, images=STEPS * BATCH)
    assert_native(here.val_dataloaders, images=CLASSES * 4)
    assert here.train_dataloader._iterator is None


OVERFITTING = pytest.mark.filterwarnings("ignore:You requested to overfit but enabled train dataloader shuffling")


@OVERFITTING
@pytest.mark.parametrize("overfit_batches", [0, 2], ids=["whole", "rebuilt"])
def test_after_install_hooks_make_our_loader(root, natively, installed, overfit_batches):
    """Within hooks, Lightning puts constructors of its own before those of loaders."""

    def fit():
        torch.manual_seed(5)
        module = Classifier(
            (
                lambda: torch.utils.data.DataLoader(ImageFolder(root, TRAIN), BATCH, shuffle=True, num_workers=2),
                lambda: torch.utils.data.DataLoader(ImageFolder(root, EVALUATE), BATCH),
            )
        )
        here = trainer(overfit_batches=overfit_batches)
        here.fit(module)
        return module, here.train_dataloader

    stock, _ = fit()
    with natively(), installed():
        ours, loader = fit()
    assert_same_losses(ours.losses, stock.losses, 2 * (overfit_batches or STEPS + 1))
    assert type(loader) is fastload.DataLoader
    assert_native(loader)
    assert ours.validation_losses == stock.validation_losses


@OVERFITTING
def test_overfitting_trains_on_a_loader_that_lightning_rebuilt(root, natively):
    def fit(loader_class, **ours):
        torch.manual_seed(5)
        module = Classifier()
        here = trainer(overfit_batches=2)
        loader = loader_class(ImageFolder(root, TRAIN), BATCH, shuffle=True, num_workers=2, **ours)
        here.fit(module, loader, loader_class(ImageFolder(root, EVALUATE), BATCH))
        return module.losses, here.train_dataloader, loader

    stock, _, _ = fit(torch.utils.data.DataLoader)
    with natively():
        ours, rebuilt, given = fit(fastload.DataLoader, threads=1)
    assert_same_losses(ours, stock, 2 * 2)
    assert rebuilt is not given and type(rebuilt) is fastload.DataLoader
    assert rebuilt.threads == 1
    assert_native(rebuilt)


def test_prediction_keeps_track_of_indices_on_a_rebuilt_loader(validation_root, natively):
    def predict(loader_class):
        torch.manual_seed(5)
        module = Classifier()
        here = trainer()
        predictions = here.predict(module, loader_class(ImageFolder(validation_root, EVALUATE), 5, num_workers=2))
        return torch.cat(predictions), here.predict_dataloaders

    stock, _ = predict(torch.utils.data.DataLoader)
    with natively():
        ours, rebuilt = predict(fastload.DataLoader)
    assert torch.equal(ours, stock) and len(ours) == CLASSES * 4
    assert type(rebuilt.batch_sampler).__name__ == "_IndexBatchSamplerWrapper"
    assert_native(rebuilt, images=CLASSES * 4)


def test_workers_that_lightning_seeds(root, validation_root, natively, monkeypatch):
    def fit(loader_class):
        lightning.seed_everything(7, workers=True, verbose=False)
        module = Classifier()
        here = trainer()
        train = loader_class(ImageFolder(root, TRAIN), BATCH, shuffle=True, num_workers=2, drop_last=True)
        here.fit(module, train, loader_class(ImageFolder(validation_root, EVALUATE), 5, num_workers=2))
        return module.losses, here.train_dataloader

    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.setenv(name, "")  # seed_everything sets both; undone after the test
    stock, _ = fit(torch.utils.data.DataLoader)
    with natively():
        ours, loader = fit(fastload.DataLoader)
    assert_same_losses(ours, stock, 2 * STEPS)
    assert_native(loader)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")  # resumed runs go on there
@pytest.mark.parametrize(
    "options",
    [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}],
    ids=["no-workers", "workers", "persistent"],
)
def test_resume_from_checkpoints_in_mid_epoch(root, validation_root, natively, tmp_path, options):
    """Nothing but the checkpoint goes over: the resumed runs start with another seed and another network."""

    def fit(loader_class, seed, checkpoint=None):
        torch.manual_seed(seed)
        module = Classifier()
        folder = tmp_path / loader_class.__name__
        keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1)
        here = trainer(max_epochs=1, enable_checkpointing=True, callbacks=[keep])
        train = loader_class(ImageFolder(root, TRAIN), 6, shuffle=True, **options)
        validation = loader_class(ImageFolder(validation_root, EVALUATE), 5)
        here.fit(module, train, validation, ckpt_path=checkpoint)
        return module.losses, here.train_dataloader, folder

    steps = CLASSES * IMAGES // 6
    stock, _, _ = fit(torch.utils.data.DataLoader, seed=5)
    with natively():
        whole, _, folder = fit(fastload.StatefulDataLoader, seed=5)
        assert_same_losses(whole, stock, steps)
        for step in (1, 4, 5):
            rest, loader, _ = fit(fastload.StatefulDataLoader, seed=6, checkpoint=folder / f"step={step}.ckpt")
            assert_same_losses(rest, stock[step:], steps - step)
            assert_native(loader, images=(steps - step) * 6)


def test_two_processes_share_every_epoch(root, validation_root, tmp_path):
    """``ddp``: each process gets a copy of the loader with a DistributedSampler."""
    script = Path(__file__).with_name("lightning_ddp.py")
    env = environment(PYTHONPATH=os.pathsep.join([str(script.parent), environment()["PYTHONPATH"]]))
    ended = run(sys.executable, script, root, validation_root, tmp_path, env=env)
    assert ended.returncode == 0, ended.stderr[-3000:]
    records = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    for record in records:
        stock, ours = record["stock"], record["fastload"]
        assert_same_losses(ours["losses"], stock["losses"], 2 * 3)
        assert_same_losses(ours["validation_losses"], stock["validation_losses"], 2 * 2)
        assert ours["rebuilt"] == {"sampler": "DistributedSampler", "mode": "native", "images": CLASSES * IMAGES // 2}
    assert records[0]["fastload"]["losses"] != records[1]["fastload"]["losses"]
