"""The random generators of a process, read and put back."""

from __future__ import annotations

import base64
import os
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.utils.data

from fastload import _core

_PYTHON_VERSION = 3  # of random.getstate()
_NUMPY_WORDS = 624


class GeneratorStates:
    """torch's default CPU generator, Python's ``random``, numpy's legacy generator, and any torch generators beside them."""

    def __init__(self, shared: tuple[torch.Tensor, Any, dict[str, Any]], own: list[torch.Tensor]) -> None:
        self._torch, self._python, self._numpy = shared
        self._own = own

    @classmethod
    def now(cls, own: Sequence[torch.Generator] = ()) -> GeneratorStates:
        """As they are; ``own`` are the generators that belong to a loader."""
        shared = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
        return cls(shared, [generator.get_state() for generator in own])

    def restore(self, own: Sequence[torch.Generator] = ()) -> None:
        """Puts the shared ones back, and as many of ``own`` as were read."""
        torch.set_rng_state(self._torch)
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        self.restore_own(own)

    def restore_own(self, own: Sequence[torch.Generator]) -> None:
        """Puts back the loader's generators alone."""
        for generator, state in zip(own, self._own, strict=False):
            generator.set_state(state)

    def to_json(self) -> dict[str, Any]:
        """Text and numbers: about 14 kB, and 7 kB for each generator in ``own``."""
        version, words, gauss = self._python
        assert version == _PYTHON_VERSION
        numpy = self._numpy["state"]
        return {
            "torch": torch_state_to_json(self._torch),
            "python": [_text(np.array(words, np.uint32)), gauss],
            "numpy": [
                _text(numpy["key"]),
                int(numpy["pos"]),
                int(self._numpy["has_gauss"]),
                float(self._numpy["gauss"]),
            ],
            "own": [torch_state_to_json(state) for state in self._own],
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> GeneratorStates:
        """The reverse of :meth:`to_json`.

        Raises:
            ValueError: this is not what :meth:`to_json` gave.
        """
        try:
            return cls._from_json(saved)
        except (KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
            raise ValueError(f"not the states of generators ({type(error).__name__}: {error})") from error

    @classmethod
    def _from_json(cls, saved: dict[str, Any]) -> GeneratorStates:
        words, gauss = saved["python"]
        python = _PYTHON_VERSION, tuple(_words(words).tolist()), gauss
        key, pos, has_gauss, cached = saved["numpy"]
        numpy = {
            "bit_generator": "MT19937",
            "state": {"key": _words(key), "pos": pos},
            "has_gauss": has_gauss,
            "gauss": cached,
        }
        if not (gauss is None or type(gauss) is float) or type(cached) is not float:
            raise ValueError("a saved normal deviate should be a float")
        if (
            type(pos) is not int
            or not 0 <= pos <= len(numpy["state"]["key"]) == _NUMPY_WORDS
            or has_gauss not in (0, 1)
        ):
            raise ValueError("not the state of numpy's generator")
        random.Random().setstate(python)
        np.random.RandomState().set_state(numpy)
        own = [torch_state_from_json(state) for state in saved["own"]]
        return cls((torch_state_from_json(saved["torch"]), python, numpy), own)


@contextmanager
def as_they_were() -> Any:
    """Whatever is drawn inside, the shared generators are as before afterwards."""
    states = GeneratorStates.now()
    try:
        yield
    finally:
        states.restore()


class Drawing:
    """torch's generator on its way into native draws and back; see :func:`drawing`.

    Attributes:
        native: the generator, to be drawn from.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._before = generator.get_state()
        self._after: torch.Tensor | None = None
        self.native = _core.Mt19937.from_torch(self._before.numpy())

    def keep(self, native: _core.Mt19937) -> None:
        """torch's generator goes on from here."""
        self._after = self._before.clone()
        native.export_torch(self._after.numpy())
        self._generator.set_state(self._after)

    def undo(self) -> None:
        """As if nothing had been drawn, unless others have drawn since."""
        with _one_at_a_time:
            if self._after is not None and torch.equal(self._generator.get_state(), self._after):
                self._generator.set_state(self._before)


@contextmanager
def drawing() -> Iterator[Drawing]:
    """To draw natively from the generator that torchvision's transforms have in this thread.

    The default one, which all threads share and one at a time may take away and put back; in one of torch's thread workers its own.
    """
    own = generator_of_thread_worker()
    if own is not None:
        yield Drawing(own)
        return
    with _one_at_a_time:
        yield Drawing(torch.default_generator)


def generator_of_thread_worker() -> torch.Generator | None:
    """What ``torch.random.thread_safe_generator()`` gives, where there is such a thing."""
    info = torch.utils.data.get_worker_info()
    rng = getattr(info, "rng", None)
    return rng.torch_generator if rng is not None and info.worker_method == "thread" else None  # type: ignore[union-attr]


_one_at_a_time = threading.RLock()


def _in_a_forked_child() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.RLock()  # whoever held it is not here


os.register_at_fork(after_in_child=_in_a_forked_child)


def torch_state_to_json(state: torch.Tensor) -> str:
    """The bytes of ``torch.get_rng_state()`` as text."""
    return _text(state.numpy())


def torch_state_from_json(text: str) -> torch.Tensor:
    """The reverse of :func:`torch_state_to_json`.

    Raises:
        ValueError: not the state of a CPU generator, or one that would be read out of bounds: torch does not look that close.
    """
    state = torch.frombuffer(bytearray(base64.b64decode(text, validate=True)), dtype=torch.uint8)
    _core.Mt19937.from_torch(state.numpy())
    return state


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _words(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), np.uint32).copy()
