"""``loader.stats()`` into TensorBoard, Weights & Biases, MLflow or a logger of Lightning's: from a plain loop, from Lightning, or
from Hugging Face's ``Trainer``. Each framework is imported only where it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastload.loader import DataLoader

_PLAIN = ("images_per_second", "wait_seconds", "seconds", "batches", "images", "fallbacks", "errors")


def stats_figures(loader: Any, prefix: str = "loader/") -> dict[str, float]:
    """The figures of a loader's current or last epoch, by name: plain numbers.

    ``images_per_second``, ``waiting`` (share of the time that the training waited for batches), ``wait_seconds``, ``seconds``,
    ``batches``, ``images``, ``fallbacks``, ``errors``, and ``stage/NAME``: seconds of all threads together.

    Args:
        loader: a :class:`fastload.DataLoader`, or what a framework has made of one.

    Raises:
        TypeError: there is no loader of ours in it.

    Example:
        >>> import fastload
        >>> stats_figures(fastload.DataLoader([1, 2]))["loader/batches"]
        0.0
    """
    ours = next(_ours_in(loader), None)
    if ours is None:
        raise TypeError(f"{type(loader).__module__}.{type(loader).__qualname__} is no fastload.DataLoader and has none")
    stats = ours.stats()
    figures = {name: float(stats[name]) for name in _PLAIN}
    figures["waiting"] = figures["wait_seconds"] / figures["seconds"] if figures["seconds"] > 0 else 0.0
    figures.update({f"stage/{stage}": float(seconds) for stage, seconds in stats["stages"].items()})
    return {f"{prefix}{name}": value for name, value in figures.items()}


def _ours_in(loader: Any, depth: int = 4) -> Iterator[DataLoader[Any]]:
    """Looks into Accelerate's loaders, Lightning's combined ones, lists and mappings."""
    if isinstance(loader, DataLoader):
        yield loader
    elif loader is not None and depth > 0:
        inside = [getattr(loader, name, None) for name in ("base_dataloader", "flattened")]
        if isinstance(loader, dict):
            inside += loader.values()
        elif isinstance(loader, list | tuple):
            inside += loader
        for one in inside:
            yield from _ours_in(one, depth - 1)


def log_stats(loader: Any, to: Any, step: int | None = None, prefix: str = "loader/") -> None:
    """Writes a loader's figures; for a plain loop, now and then.

    Args:
        loader: as for :func:`stats_figures`.
        to: a ``SummaryWriter``, a run of Weights & Biases (or the module ``wandb``), the module ``mlflow``, or a logger of
            Lightning's.
        step: of the training; None: the writer's own count.

    Raises:
        TypeError: ``to`` is none of these.

    Example::

        writer = SummaryWriter()
        for step, (images, targets) in enumerate(loader):
            ...
            if step % 100 == 0:
                log_stats(loader, writer, step)
    """
    write_figures(stats_figures(loader, prefix), to, step)


def write_figures(figures: dict[str, float], to: Any, step: int | None) -> None:
    """Any figures, in the way that ``to`` has for them."""
    if hasattr(to, "add_scalar"):  # SummaryWriter
        for name, value in figures.items():
            to.add_scalar(name, value, step)
    elif hasattr(to, "log_metrics"):  # mlflow, and every logger of Lightning's
        to.log_metrics(figures, step=step)
    elif hasattr(to, "log"):  # wandb, and its runs
        to.log(figures, step=step)
    else:
        raise TypeError(f"{type(to).__name__} has none of add_scalar, log_metrics and log")


def lightning_callback(every: int = 50) -> Any:
    """A ``Callback`` of ``lightning.pytorch`` (or ``pytorch_lightning``) that writes the training loader's figures to all of the
    trainer's loggers, after every so many batches and at the end of each epoch.

    Example::

        Trainer(callbacks=[lightning_callback()])
    """
    try:
        from lightning.pytorch import Callback
    except ImportError:
        from pytorch_lightning import Callback  # type: ignore[assignment, unused-ignore]

    class LoaderStats(Callback):  # type: ignore[misc, unused-ignore]
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if (batch_idx + 1) % every == 0:
                self._write(trainer)

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            self._write(trainer)

        def _write(self, trainer: Any) -> None:
            if next(_ours_in(trainer.train_dataloader), None) is None:
                return
            figures = stats_figures(trainer.train_dataloader)
            for logger in trainer.loggers:
                logger.log_metrics(figures, step=trainer.global_step)

    return LoaderStats()


def trainer_callback(to: Any) -> Any:
    """A ``transformers.TrainerCallback`` that writes the training loader's figures whenever the ``Trainer`` logs.

    Args:
        to: as for :func:`log_stats`. To Weights & Biases, whose steps the Trainer leaves to it, the step goes as a figure.

    Example::

        Trainer(..., callbacks=[trainer_callback(wandb)])
    """
    from transformers import TrainerCallback

    counts_itself = not hasattr(to, "add_scalar") and not hasattr(to, "log_metrics")

    class LoaderStats(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_log(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **others: Any) -> None:
            if not state.is_world_process_zero or next(_ours_in(train_dataloader), None) is None:
                return
            figures = stats_figures(train_dataloader)
            if counts_itself:
                write_figures({**figures, "train/global_step": float(state.global_step)}, to, None)
            else:
                write_figures(figures, to, state.global_step)

    return LoaderStats()
