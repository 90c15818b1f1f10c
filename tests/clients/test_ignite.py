"""pytorch-ignite: engines over a loader, and those that rebuild it."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder

import fastload
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

with warnings.catch_warnings():
    # of torch.distributed.optim, which Ignite imports
    warnings.filterwarnings("ignore", "`torch.jit.* is deprecated", DeprecationWarning)
    import ignite.distributed as idist
    from ignite.engine import DeterministicEngine, Engine, Events
    from ignite.engine.deterministic import ReproducibleBatchSampler, update_dataloader
    from ignite.handlers.param_scheduler import LRScheduler
    from ignite.metrics import Loss

BATCH, EPOCHS = 8, 2
STEPS = CLASSES * IMAGES // BATCH


def loader_of(loader_class, root, **options):
    return loader_class(ImageFolder(root, TRAIN), BATCH, shuffle=True, drop_last=True, **options)


def trainer_of(network, engine_class=Engine):
    """An engine whose ``losses`` grow by one a step."""
    optimizer = optimizer_of(network)
    losses = []

    def step(engine, batch):
        images, targets = batch
        network.train()
        optimizer.zero_grad()
        loss = cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        return losses[-1]

    trainer = engine_class(step)
    trainer.losses = losses
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5))
    )
    return trainer


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_and_evaluation(root, validation_root, natively, num_workers):
    def run(loader_class):
        torch.manual_seed(8)
        network = Network()
        trainer = trainer_of(network)
        validation = loader_class(ImageFolder(validation_root, EVALUATE), 5, num_workers=num_workers)

        def evaluate(engine, batch):
            network.eval()
            with torch.no_grad():
                return network(batch[0]), batch[1]

        evaluator = Engine(evaluate)
        Loss(cross_entropy).attach(evaluator, "loss")
        evaluations = []

        @trainer.on(Events.EPOCH_COMPLETED)
        def log(engine):
            evaluations.append(evaluator.run(validation).metrics["loss"])

        loader = loader_of(loader_class, root, num_workers=num_workers)
        trainer.run(loader, max_epochs=EPOCHS)
        return trainer.losses, evaluations, loader, validation

    stock = run(torch.utils.data.DataLoader)
    with natively():
        ours = run(fastload.DataLoader)
    assert_same_losses(ours[0], stock[0], EPOCHS * STEPS)
    assert_same_losses(ours[1], stock[1], EPOCHS)
    assert_native(ours[2], images=STEPS * BATCH)
    assert_native(ours[3], images=CLASSES * 4)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_auto_dataloader_after_install(root, natively, installed, num_workers):
    def run():
        torch.manual_seed(8)
        loader = idist.auto_dataloader(
            ImageFolder(root, TRAIN), batch_size=BATCH, shuffle=True, drop_last=True, num_workers=num_workers
        )
        trainer = trainer_of(Network())
        trainer.run(loader, max_epochs=EPOCHS)
        return trainer.losses, loader

    stock, _ = run()
    with natively(), installed():
        ours, loader = run()
    assert_same_losses(ours, stock, EPOCHS * STEPS)
    assert type(loader) is fastload.DataLoader
    assert_native(loader, images=STEPS * BATCH)


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}], ids=str)
def test_the_deterministic_engine_rebuilds_and_resumes(root, natively, options):
    def run(loader_class, **own):
        torch.manual_seed(8)
        network = Network()
        trainer = trainer_of(network, DeterministicEngine)
        given = loader_of(loader_class, root, **options, **own)

        @trainer.on(Events.ITERATION_COMPLETED(once=STEPS + 1))
        def keep(engine):
            state = engine.state_dict()
            trainer.kept = state, {name: value.clone() for name, value in network.state_dict().items()}

        trainer.run(given, max_epochs=EPOCHS)
        rebuilt = trainer.state.dataloader
        state, weights = trainer.kept
        resumed_network = Network()
        resumed_network.load_state_dict(weights)
        resumed = trainer_of(resumed_network, DeterministicEngine)
        torch.manual_seed(8)  # the engine draws its seed when it starts
        Network()
        resumed.load_state_dict(state)
        resumed.run(loader_of(loader_class, root, **options, **own), max_epochs=EPOCHS)
        # Engines are cycles: what the garbage collector finds takes torch five seconds a persistent worker to end.
        rebuilt._iterator = resumed.state.dataloader._iterator = None
        return trainer.losses, resumed.losses, given, rebuilt, resumed.state.dataloader

    stock = run(torch.utils.data.DataLoader)
    with natively():
        ours = run(fastload.DataLoader, threads=1)
    assert_same_losses(ours[0], stock[0], EPOCHS * STEPS)
    assert_same_losses(ours[1], stock[1], (EPOCHS - 1) * STEPS - 1)
    given, rebuilt, resumed = ours[2:]
    assert rebuilt is not given and type(rebuilt) is fastload.DataLoader and rebuilt.threads == 1
    assert type(rebuilt.batch_sampler) is ReproducibleBatchSampler
    assert_native(rebuilt, images=STEPS * BATCH)
    assert_native(resumed, images=STEPS * BATCH - BATCH)


def test_every_option_survives_the_rebuilding(root):
    options = {
        "num_workers": 1,
        "threads": 2,
        "rng": "index",
        "on_error": "skip",
        "dtype": torch.float16,
        "memory_format": torch.channels_last,
        "prefetch_factor": 4,
        "timeout": 30,
    }
    loader = loader_of(fastload.DataLoader, root, **options)
    rebuilt = update_dataloader(loader, ReproducibleBatchSampler(loader.batch_sampler))
    assert {name: getattr(rebuilt, name) for name in options} == options
    assert rebuilt.dataset is loader.dataset


def test_a_batch_size_that_changes_between_epochs(root, natively):
    """What Ignite's batch size schedule does: it writes to the batch sampler of the loader in use."""

    def run(loader_class):
        torch.manual_seed(8)
        trainer = trainer_of(Network())
        loader = loader_class(ImageFolder(root, TRAIN), 4, shuffle=True, num_workers=2)

        @trainer.on(Events.EPOCH_COMPLETED)
        def grow(engine):
            loader.batch_sampler.batch_size += 2

        sizes = []

        @trainer.on(Events.ITERATION_COMPLETED)
        def size(engine):
            sizes.append(len(engine.state.batch[1]))

        trainer.run(loader, max_epochs=EPOCHS)
        return trainer.losses, sizes, loader

    stock, stock_sizes, _ = run(torch.utils.data.DataLoader)
    with natively():
        ours, sizes, loader = run(fastload.DataLoader)
    assert_same_losses(ours, stock, len(stock_sizes))
    assert sizes == stock_sizes and set(sizes) >= {4, 6}
    assert_native(loader)
