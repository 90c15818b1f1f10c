"""HF Trainer on an image classifier that is built from a configuration."""

from __future__ import annotations

import pytest
import torch
import transformers
from torchvision.datasets import ImageFolder

import fastload
from training import CLASSES, EVALUATE, IMAGES, SIZE, TRAIN, assert_native, assert_same_losses

BATCH, EPOCHS = 8, 2
STEPS = -(-CLASSES * IMAGES // BATCH)
SAVED = STEPS + 2

CONFIGURATIONS = {
    "vit": transformers.ViTConfig(
        image_size=SIZE,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=CLASSES,
    ),
    "resnet": transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=CLASSES
    ),
}


def collate(samples):
    return {
        "pixel_values": torch.stack([image for image, _ in samples]),
        "labels": torch.tensor([label for _, label in samples]),
    }


class Recorded(transformers.Trainer):
    """Keeps the loss of every step, of training and of evaluation; the log rounds them."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.losses: list[float] = []
        self.evaluation_losses: list[float] = []

    def compute_loss(self, model, inputs, return_outputs=False, **options):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **options)
        (self.losses if model.training else self.evaluation_losses).append(loss.item())
        return (loss, outputs) if return_outputs else loss


class WithLoader(Recorded):
    """The way for users to bring a loader of their own."""

    loader_class: type

    def get_train_dataloader(self):
        self.loader = self.loader_class(
            self.train_dataset, BATCH, shuffle=True, num_workers=2, collate_fn=self.data_collator
        )
        return self.loader


def train(trainer_class, folder_class, root, validation_root, out, configuration="vit", checkpoint=None, **options):
    torch.manual_seed(2)
    model = transformers.AutoModelForImageClassification.from_config(CONFIGURATIONS[configuration])
    arguments = transformers.TrainingArguments(
        out,
        use_cpu=True,
        seed=4,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=5,
        learning_rate=1e-2,
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=SAVED,
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        **options,
    )
    trainer = trainer_class(
        model,
        arguments,
        collate,
        train_dataset=folder_class(root, TRAIN),
        eval_dataset=folder_class(validation_root, EVALUATE),
        callbacks=[],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


def assert_same_training(ours, stock):
    assert_same_losses(ours.losses, stock.losses, EPOCHS * STEPS)
    assert_same_losses(ours.evaluation_losses, stock.evaluation_losses, EPOCHS * 3)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_after_install(root, validation_root, natively, installed, tmp_path, configuration, num_workers):
    common = (root, validation_root, tmp_path, configuration)
    options = {"dataloader_num_workers": num_workers}
    stock = train(Recorded, ImageFolder, *common, **options)
    with natively(), installed():
        ours = train(Recorded, ImageFolder, *common, **options)
    assert_same_training(ours, stock)
    loader = ours.callback_handler.train_dataloader.base_dataloader
    assert type(loader) is fastload.DataLoader
    assert_native(loader, "native in workers")


def test_resume_in_mid_epoch_after_install(root, validation_root, natively, installed, tmp_path):
    """``transformers`` skips what an epoch had given before: no less and no more than with torch's loader."""

    def resume(out):
        options = {"dataloader_num_workers": 2}
        train(Recorded, ImageFolder, root, validation_root, out, **options)
        checkpoint = out / f"checkpoint-{SAVED}"
        return train(Recorded, ImageFolder, root, validation_root, out, checkpoint=checkpoint, **options)

    stock = resume(tmp_path / "stock")
    with natively(), installed():
        ours = resume(tmp_path / "ours")
    assert_same_losses(ours.losses, stock.losses, EPOCHS * STEPS - SAVED)


def test_persistent_workers_after_install(root, validation_root, natively, installed, tmp_path):
    options = {"dataloader_num_workers": 2, "dataloader_persistent_workers": True, "dataloader_prefetch_factor": 1}
    stock = train(Recorded, ImageFolder, root, validation_root, tmp_path, **options)
    with natively(), installed():
        ours = train(Recorded, ImageFolder, root, validation_root, tmp_path, **options)
    assert_same_training(ours, stock)
    assert_native(ours.callback_handler.train_dataloader.base_dataloader, "native in workers")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_on_its_own_the_data_set_decodes_natively(root, validation_root, natively, tmp_path, num_workers):
    options = {"dataloader_num_workers": num_workers}
    stock = train(Recorded, ImageFolder, root, validation_root, tmp_path, **options)
    with natively():
        ours = train(Recorded, fastload.ImageFolder, root, validation_root, tmp_path, **options)
    assert_same_training(ours, stock)
    assert type(ours.callback_handler.train_dataloader.base_dataloader) is torch.utils.data.DataLoader


def test_a_loader_of_the_users_own(root, validation_root, natively, tmp_path):
    def own(loader_class):
        return type("Own", (WithLoader,), {"loader_class": loader_class})

    stock = train(own(torch.utils.data.DataLoader), ImageFolder, root, validation_root, tmp_path)
    with natively():
        ours = train(own(fastload.DataLoader), fastload.ImageFolder, root, validation_root, tmp_path)
    assert_same_training(ours, stock)
    assert_native(ours.loader, "native in workers")
