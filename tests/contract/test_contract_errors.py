"""The DataLoader contract: errors, and what follows them. Each on torch's loader and on fastload's."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from pathlib import Path

import PIL
import pytest
from torch.utils.data import IterableDataset

from contract import (
    SIZE,
    build,
    build_with_code,
    data_set,
    in_batches,
    indices,
    outcomes,
    with_code,
    write_images,
)

PAIRS = in_batches(range(SIZE), 2)
SIXES = in_batches(range(SIZE), 6)


class FailsAt:
    """A transform that fails at its third call: in the second batch of two."""

    def __init__(self, error):
        self.error = error
        self.calls = 0

    def __call__(self, given):
        self.calls += 1
        if self.calls == 3:
            raise self.error
        return given


class WithMessage(Exception):
    message = "none"

    def __init__(self, message):
        self.message = message


class OfTwoWords(Exception):
    def __init__(self, one, other):
        super().__init__(one, other)


# What is raised in a sample, and as what it comes from a worker.
ERRORS = {
    "plain": (ValueError, ["no good"], ValueError),
    "key": (KeyError, ["no\ngood"], KeyError),
    "message": (WithMessage, ["no good"], WithMessage),
    "two words": (OfTwoWords, ["no", "good"], RuntimeError),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_without_workers(Loader, dataset, name):
    """As they are; the next batch follows."""
    kind, words, _ = ERRORS[name]
    error = kind(*words)
    with_code(dataset, FailsAt(error))
    first, caught, *rest = outcomes(iter(build_with_code(Loader, dataset, batch_size=2)))
    assert caught is error and traceback.extract_tb(caught.__traceback__)[-1].name == "__call__"
    assert indices([first, *rest]) == PAIRS[:1] + PAIRS[2:]


@pytest.mark.parametrize("name", ERRORS)
def test_errors_in_workers(Loader, dataset, name):
    """Of the same type where one text makes one; the text tells the worker and its traceback."""
    raised, words, kind = ERRORS[name]
    with_code(dataset, FailsAt(raised(*words)))
    first, caught, *rest = outcomes(iter(build_with_code(Loader, dataset, batch_size=2, num_workers=1)))
    assert type(caught) is kind
    text = caught.message if kind is WithMessage else str(caught)
    told = f"Caught {raised.__name__} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
    assert text.startswith(told) and "in __call__\n    raise self.error\n" in text
    assert raised.__name__ in text.splitlines()[-1]
    assert indices([first, *rest]) == PAIRS[:1] + PAIRS[2:]


DAMAGES = {
    "missing": (Path.unlink, FileNotFoundError),
    "folder": (lambda path: (path.unlink(), path.mkdir()), IsADirectoryError),
    "text": (lambda path: path.write_text("this is no image"), PIL.UnidentifiedImageError),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-99]), OSError),
}


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("name", DAMAGES)
def test_unreadable_images(Loader, tmp_path, name, num_workers):
    damage, kind = DAMAGES[name]
    dataset = data_set("images", write_images(tmp_path / "images"))
    damage(Path(dataset.samples[3][0]))
    first, caught, *rest = outcomes(iter(build(Loader, dataset, batch_size=2, num_workers=num_workers)))
    assert isinstance(caught, kind)
    assert indices([first, *rest]) == PAIRS[:1] + PAIRS[2:]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_one_error_a_batch(Loader, dataset, num_workers):
    """However many samples fail; and then it is over."""
    batches = [[SIZE, SIZE], [3], [SIZE + 1], [-SIZE - 1, 0], [1, 0]]
    iterator = iter(build(Loader, dataset, batch_sampler=batches, num_workers=num_workers))
    seen = outcomes(iterator)
    assert [isinstance(outcome, IndexError) for outcome in seen] == [True, False, True, True, False]
    assert indices([seen[1], seen[4]]) == [[3], [1, 0]]
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_stop_iteration_from_a_sample_ends_a_for_loop(Loader, dataset, num_workers):
    with_code(dataset, FailsAt(StopIteration("no good")))
    iterator = iter(build_with_code(Loader, dataset, batch_size=2, num_workers=num_workers))
    assert indices(iterator) == PAIRS[:1]
    assert indices(iterator) == PAIRS[2:]


def fails_at_once(worker_id):
    raise ValueError("no good")


class FailsToBegin(IterableDataset):
    def __iter__(self):
        raise ValueError("no good")


def test_errors_as_workers_begin(Loader, dataset):
    """They come with the worker's first batch, not with the iterator."""
    for loader in (
        build_with_code(Loader, dataset, batch_size=2, num_workers=1, worker_init_fn=fails_at_once),
        Loader(FailsToBegin(), num_workers=1),
    ):
        iterator = iter(loader)
        with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0"):
            next(iterator)
        iterator._shutdown_workers()


class Dies(FailsAt):
    def __call__(self, given):
        self.calls += 1
        if self.calls == 3:
            os.kill(os.getpid(), self.error) if self.error else os._exit(3)
        return given


# Whichever comes first, the signal handler's word or that of the wait.
@pytest.mark.parametrize(
    ("how", "text"),
    [
        (None, "exited unexpectedly( with exit code 3. Details are lost due to multiprocessing.|$)"),
        (signal.SIGKILL, "(is killed by signal: Killed. $|exited unexpectedly$)"),
    ],
    ids=["exit", "kill"],
)
def test_dead_workers(Loader, dataset, how, text):
    with_code(dataset, Dies(how))
    iterator = iter(build_with_code(Loader, dataset, batch_size=2, num_workers=1))
    try:
        with (
            contextlib.suppress(RuntimeError),  # the other's word may follow, until the worker is forgotten
            pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid(\(s\))? \d+\) {text}"),
        ):
            list(iterator)
    finally:
        with contextlib.suppress(RuntimeError):
            iterator._shutdown_workers()
