"""loader.stats() in TensorBoard's files, in the calls of Weights & Biases and MLflow, and from the callbacks of frameworks.

tests/clients trains with the frameworks themselves; here stand objects with their methods and signatures.
"""

from __future__ import annotations

import sys
import types

import pytest
import torch

import fastload
from fastload.diagnosis import lightning_callback, log_stats, stats_figures, trainer_callback

NAMES = {"images_per_second", "waiting", "wait_seconds", "seconds", "batches", "images", "fallbacks", "errors"}


@pytest.fixture
def loader():
    loader = fastload.DataLoader(torch.arange(10), batch_size=4)
    list(loader)
    return loader


class Run:
    """As wandb.sdk.wandb_run.Run."""

    def __init__(self):
        self.logged = []

    def log(self, data, step=None, commit=None):
        self.logged.append((data, step))


class Logger:
    """As lightning.pytorch.loggers.Logger."""

    def __init__(self):
        self.logged = []

    def log_metrics(self, metrics, step=None):
        self.logged.append((metrics, step))


class MLflow:
    """As the module mlflow."""

    def __init__(self):
        self.logged = []

    def log_metrics(self, metrics, step=None, synchronous=None, run_id=None, timestamp=None):
        self.logged.append((metrics, step))


def test_figures_are_plain_numbers(loader):
    figures = stats_figures(loader)
    assert set(figures) == {f"loader/{name}" for name in NAMES}
    assert all(type(value) is float for value in figures.values())
    assert figures["loader/images"] == 10 and figures["loader/batches"] == 3 and 0 < figures["loader/waiting"] <= 1
    assert set(stats_figures(loader, prefix="valid/")) == {f"valid/{name}" for name in NAMES}


def test_loaders_inside_of_what_frameworks_make(loader):
    class Shard:
        base_dataloader = loader

    class Combined:
        flattened = [loader]

    for wrapped in (Shard(), Combined(), [Shard()], {"train": loader}):
        assert stats_figures(wrapped)["loader/images"] == 10
    for other in (torch.utils.data.DataLoader([1]), [], None):
        with pytest.raises(TypeError, match=r"no fastload\.DataLoader"):
            stats_figures(other)


def test_tensorboard(loader, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        log_stats(loader, writer, 3)
        log_stats(loader, writer, 7)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {f"loader/{name}" for name in NAMES}
    assert [(event.step, event.value) for event in events.Scalars("loader/images")] == [(3, 10.0), (7, 10.0)]


@pytest.mark.parametrize("kind", [Run, Logger, MLflow])
def test_other_writers(loader, kind):
    to = kind()
    log_stats(loader, to, step=5)
    log_stats(loader, to)
    (figures, step), (_, none) = to.logged
    assert step == 5 and none is None and figures["loader/images"] == 10


def test_something_else(loader):
    with pytest.raises(TypeError, match="add_scalar"):
        log_stats(loader, object())


def test_lightning(loader, monkeypatch):
    module = types.ModuleType("lightning.pytorch")
    module.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "lightning", types.ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module)
    callback, loggers = lightning_callback(every=2), [Logger(), Logger()]
    assert isinstance(callback, module.Callback)
    trainer = types.SimpleNamespace(train_dataloader=loader, loggers=loggers, global_step=41)
    for batch_idx in range(4):
        callback.on_train_batch_end(trainer, None, None, None, batch_idx)
    callback.on_train_epoch_end(trainer, None)
    assert [len(logger.logged) for logger in loggers] == [3, 3] and loggers[0].logged[0][1] == 41
    trainer.train_dataloader = torch.utils.data.DataLoader([1])
    callback.on_train_epoch_end(trainer, None)
    assert len(loggers[0].logged) == 3


@pytest.mark.parametrize("main", [True, False])
def test_hugging_face(loader, monkeypatch, main):
    module = types.ModuleType("transformers")
    module.TrainerCallback = type("TrainerCallback", (), {})
    monkeypatch.setitem(sys.modules, "transformers", module)
    state = types.SimpleNamespace(is_world_process_zero=main, global_step=12)
    mlflow, run = MLflow(), Run()
    for to in (mlflow, run):
        callback = trainer_callback(to)
        assert isinstance(callback, module.TrainerCallback)
        callback.on_log(None, state, None, train_dataloader=loader, logs={}, model=None)
    assert len(mlflow.logged) == len(run.logged) == main
    if main:
        assert mlflow.logged[0][1] == 12
        figures, step = run.logged[0]
        assert step is None and figures["train/global_step"] == 12.0  # as the Trainer's own callback does
