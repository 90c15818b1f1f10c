"""loader.stats() where Lightning and Hugging Face's Trainer log: through their own loggers and hooks."""

from __future__ import annotations

import contextlib

import lightning
import pytest
import torch
import transformers
from lightning.pytorch.loggers import CSVLogger
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder

import fastload
from fastload.diagnosis import lightning_callback, trainer_callback
from training import CLASSES, IMAGES, TRAIN, Network, optimizer_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers which may be a bottleneck"),
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
]

BATCH = 8


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = Network()

    def configure_optimizers(self):
        return optimizer_of(self.network)

    def training_step(self, batch, index):
        images, targets = batch
        return cross_entropy(self.network(images), targets)


def test_lightning(root, tmp_path):
    logger = CSVLogger(str(tmp_path))
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        log_every_n_steps=1,
        logger=logger,
        callbacks=[lightning_callback(every=2)],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Classifier(), fastload.DataLoader(ImageFolder(root, TRAIN), BATCH, num_workers=2))
    logger.save()
    lines = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    images = [float(line.split(",")[names.index("loader/images")]) for line in lines[1:]]
    assert images[-1] == CLASSES * IMAGES and len(images) > 2


class Run:
    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, float], int | None]] = []

    def log(self, data, step=None):
        self.logged.append((data, step))


def collate(samples):
    return {
        "pixel_values": torch.stack([image for image, _ in samples]),
        "labels": torch.tensor([x for _, x in samples]),
    }


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = Network()

    def forward(self, pixel_values, labels):
        logits = self.network(pixel_values)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def test_hugging_face(root, tmp_path):
    run = Run()
    arguments = transformers.TrainingArguments(
        str(tmp_path),
        use_cpu=True,
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        logging_steps=2,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_num_workers=1,
    )
    with contextlib.ExitStack() as stack:
        fastload.install()
        stack.callback(fastload.uninstall)
        trainer = transformers.Trainer(
            Small(),
            arguments,
            data_collator=collate,
            train_dataset=ImageFolder(root, TRAIN),
            callbacks=[trainer_callback(run)],
        )
        trainer.train()
    assert len(run.logged) >= 2
    figures, step = run.logged[-1]
    assert step is None and figures["train/global_step"] == trainer.state.global_step
    assert figures["loader/images"] == CLASSES * IMAGES
