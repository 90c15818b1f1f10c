"""A training script for two processes, run by test_lightning.py: ``lightning_ddp.py TRAIN VALIDATION OUT``.

Lightning starts the second process itself. Each writes OUT/rankN.pt: what it saw with torch's loader, then with fastload's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightning
import torch
from test_lightning import BATCH, Classifier
from torchvision.datasets import ImageFolder

import fastload
from training import EVALUATE, TRAIN


def fit(loader_class, root, validation_root):
    torch.manual_seed(5)
    module = Classifier()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        use_distributed_sampler=True,
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    train = loader_class(ImageFolder(root, TRAIN), BATCH, shuffle=True, num_workers=1)
    trainer.fit(module, train, loader_class(ImageFolder(validation_root, EVALUATE), 3))
    loader = trainer.train_dataloader
    assert loader is not train
    rebuilt = {"sampler": type(loader.sampler).__name__}
    if loader_class is fastload.DataLoader:
        rebuilt |= {name: loader.stats()[name] for name in ("mode", "images")}
    return trainer.global_rank, {
        "losses": module.losses,
        "validation_losses": module.validation_losses,
        "rebuilt": rebuilt,
    }


def main(root: str, validation_root: str, out: str) -> None:
    record = {}
    for name, loader_class in (("stock", torch.utils.data.DataLoader), ("fastload", fastload.DataLoader)):
        rank, record[name] = fit(loader_class, root, validation_root)
    torch.save(record, Path(out) / f"rank{rank}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
