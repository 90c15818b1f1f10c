"""The random generators of a process, read and put back."""

from __future__ import annotations

import base64
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.utils.data

from fastload import _core

Made = TypeVar("Made")
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
        return {
            "torch": torch_state_to_json(self._torch),
            "python": _python_to_json(self._python),
            "numpy": _numpy_to_json(self._numpy),
            "own": [torch_state_to_json(state) for state in self._own],
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> GeneratorStates:
        """The reverse of :meth:`to_json`.

        Raises:
            ValueError: this is not what :meth:`to_json` gave.
        """
        with _as_value_errors():
            python, numpy = _python_from_json(saved["python"]), _numpy_from_json(saved["numpy"])
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
    """The generators that a recipe draws from on their way into native draws and back; see :func:`drawing`.

    torch's, and Python's and numpy's only where the recipe draws from them: these cost tens of microseconds each.

    Attributes:
        native: the generators, to be drawn from.
    """

    def __init__(self, generator: torch.Generator, recipes: Sequence[_core.Recipe]) -> None:
        self._generator = generator
        self._before: np.ndarray = generator.get_state().numpy()
        self._after: np.ndarray | None = None
        self._python = random.getstate() if any(recipe.draws_python for recipe in recipes) else None
        self._numpy: Any = None
        if any(recipe.draws_numpy for recipe in recipes):
            self._numpy = np.random.get_state(legacy=False)
        self._kept: _core.Streams | None = None
        torchs = _core.Mt19937.from_torch(self._before)
        self.native = _core.Streams(torchs, python=self._python, numpy=self._numpy)

    def keep(self, native: _core.Streams) -> None:
        """The generators go on from here."""
        self._after = self._before.copy()  # 5 KB, once a sample: numpy copies it faster than torch
        native.torch.export_torch(self._after)
        self._generator.set_state(torch.from_numpy(self._after))
        self._kept = native
        if self._python is not None:
            random.setstate(native.python)
        if self._numpy is not None:
            np.random.set_state(native.numpy)

    def undo(self) -> None:
        """As if nothing had been drawn, unless others have drawn since."""
        with _one_at_a_time:
            if self._after is None or self._kept is None:
                return
            if np.array_equal(self._generator.get_state().numpy(), self._after):
                self._generator.set_state(torch.from_numpy(self._before))
            if self._python is not None and random.getstate() == self._kept.python:
                random.setstate(self._python)
            if self._numpy is not None and _are_alike(np.random.get_state(legacy=False), self._kept.numpy):
                np.random.set_state(self._numpy)


def _are_alike(one: Any, other: Any) -> bool:
    """Of states of numpy's generator."""
    return _numpy_to_json(one) == _numpy_to_json(other)


@contextmanager
def drawing(*recipes: _core.Recipe) -> Iterator[Drawing]:
    """To draw natively from the generators that the transforms of these recipes have in this thread.

    torch's default one, which all threads share and one at a time may take away and put back; in one of torch's thread workers its
    own. Python's and numpy's are everybody's.
    """
    own = generator_of_thread_worker()
    if own is not None and not any(recipe.draws_python or recipe.draws_numpy for recipe in recipes):
        yield Drawing(own, recipes)
        return
    with _one_at_a_time:
        yield Drawing(torch.default_generator if own is None else own, recipes)


def from_torch(draw: Callable[..., Made], *of: Any) -> Made:
    """``draw(*of, generator)`` of the generator that :func:`drawing` draws from, for recipes that draw from no other: in a tenth of
    the time."""
    own = generator_of_thread_worker()
    if own is not None:
        return draw(*of, own)
    with _one_at_a_time:
        return draw(*of, torch.default_generator)


def undone(draw: _core.TorchDraw) -> Callable[[], None]:
    """What undoes it."""

    def undo() -> None:
        with _one_at_a_time:
            draw.undo()

    return undo


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


def streams_to_json(streams: _core.Streams) -> Any:
    """Text and numbers: torch's state alone as text, or all that are there in a list of three."""
    state = torch.Generator("cpu").get_state()
    streams.torch.export_torch(state.numpy())
    text, python, numpy = torch_state_to_json(state), streams.python, streams.numpy
    if python is None and numpy is None:
        return text
    return [
        text,
        None if python is None else _python_to_json(python),
        None if numpy is None else _numpy_to_json(numpy),
    ]


def streams_from_json(saved: Any) -> _core.Streams:
    """The reverse of :func:`streams_to_json`.

    Raises:
        ValueError: this is not what it gave.
    """
    with _as_value_errors():
        text, python, numpy = saved if isinstance(saved, list) else (saved, None, None)
        return _core.Streams(
            _core.Mt19937.from_torch(torch_state_from_json(text).numpy()),
            python=None if python is None else _python_from_json(python),
            numpy=None if numpy is None else _numpy_from_json(numpy),
        )


@contextmanager
def _as_value_errors() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
        raise ValueError(f"not the states of generators ({type(error).__name__}: {error})") from error


def _python_to_json(state: Any) -> list[Any]:
    version, words, gauss = state
    assert version == _PYTHON_VERSION
    return [_text(np.array(words, np.uint32)), gauss]


def _python_from_json(saved: Any) -> Any:
    words, gauss = saved
    if not (gauss is None or type(gauss) is float):
        raise ValueError("a saved normal deviate should be a float")
    state = _PYTHON_VERSION, tuple(_words(words).tolist()), gauss
    random.Random().setstate(state)
    return state


def _numpy_to_json(state: Any) -> list[Any]:
    inner = state["state"]
    return [_text(inner["key"]), int(inner["pos"]), int(state["has_gauss"]), float(state["gauss"])]


def _numpy_from_json(saved: Any) -> dict[str, Any]:
    key, pos, has_gauss, gauss = saved
    words = _words(key)
    if type(gauss) is not float:
        raise ValueError("a saved normal deviate should be a float")
    if type(pos) is not int or not 0 <= pos <= len(words) == _NUMPY_WORDS or has_gauss not in (0, 1):
        raise ValueError("not the state of numpy's generator")
    state = {"bit_generator": "MT19937", "state": {"key": words, "pos": pos}, "has_gauss": has_gauss, "gauss": gauss}
    np.random.RandomState().set_state(state)
    return state


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _words(text: str) -> np.ndarray:
    words: np.ndarray = np.frombuffer(base64.b64decode(text, validate=True), np.uint32).copy()
    return words
