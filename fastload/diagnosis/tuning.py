"""``fastload tune``, inside the training loop: settings are tried one step after the other, each step in turn with its rivals.

A generator of batches: the script trains with them as with those of its own loader, and does not see that another loader comes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from fastload.diagnosis.contest import LEAST_GAIN, gain
from fastload.diagnosis.trial import Trial, try_out
from fastload.diagnosis.trial_loaders import Choice, SameBatch, as_it_is, can_be_native, made_like
from fastload.diagnosis.tuning_proposals import proposals

_ROUNDS = 3
_MOST_ROUNDS = 5  # where three do not tell
_SHORTEST_S, _LONGEST_S = 0.4, 3.0
_LAST_WORDS_S = 0.5  # for what is to be told in the end
_NEXT_TO_NOTHING = 0.02
_HOPELESS = 0.6  # of the best so far, after a round: not tried again


@dataclass(frozen=True)
class Surroundings:
    """What may be tried: cores that may be used, whether there is CUDA, and why there is no decoder on it; empty: there is one."""

    cores: int
    cuda: bool = False
    no_decoder: str = "there is no CUDA"


@dataclass
class _Contender:
    choice: Choice
    trials: list[Trial] = field(default_factory=list)
    failed: str = ""
    out: bool = False
    seconds: float = 0.0  # of the last trial, with all that it takes

    @property
    def rates(self) -> list[float]:
        return [trial.rate for trial in self.trials]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates) if self.trials else 0.0


class Tuning:
    """The steps, and what of them is kept.

    Args:
        loader: the script's.
        until: when it should be over, on the monotonic clock.
        tell: given a line of plain values for each row of the table, each step that is over, and how far it is.
    """

    def __init__(
        self, loader: Any, surroundings: Surroundings, until: float, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._loader, self._here, self._until, self._tell = loader, surroundings, until - _LAST_WORDS_S, tell
        self._own = as_it_is(loader)
        self._kept = _Contender(self._own)
        self._native = False
        self._last_batch: Any = None

    def batches(self) -> Iterator[Any]:
        """For the script; ends when nothing is left to be tried, or no time."""
        steps = self._steps()
        for number, (name, rivals) in enumerate(steps):
            choices = rivals()
            if not choices:
                continue
            left = _CHECK_WEIGHT + sum(_WEIGHTS[later] for later, _ in steps[number:])
            if self._left() <= 0:
                self._tell({"kind": "step", "step": name, "skipped": "no time was left"})
                continue
            for batch in self._step(name, choices, self._left() * _WEIGHTS[name] / left):
                self._last_batch = batch
                yield batch
        if not self._kept.choice.own:
            yield from self._check()
        if self._kept.trials:
            for line in proposals(self._loader, self._kept.choice, self._kept.trials[-1]):
                self._tell({"kind": "proposal", **line})
            yield from self._model_alone()
        self._tell({"kind": "over"})

    def _check(self) -> Generator[Any, None, None]:
        """What is kept, once more in turn with what the script has: that is the gain of all steps together."""
        own, kept = _Contender(self._own), _Contender(self._kept.choice)
        each = max(_SHORTEST_S, min(_LONGEST_S, self._left() / (3 * _CHECK_ROUNDS)))
        for _ in range(_CHECK_ROUNDS):
            for contender in (own, kept):
                if self._left() < max(each, contender.seconds):
                    break
                self._tell({"kind": "progress", "step": "check", "trying": contender.choice.name})
                yield from self._try(contender, each)
        together = gain(own.rates, kept.rates)
        if own.trials and kept.trials:
            line = {"before": own.rate, "after": kept.rate, "gain": together.median, "noise": together.noise}
            is_slower = -together.median > max(LEAST_GAIN, together.noise)
            self._tell({"kind": "check", **line, "own_is_best": is_slower})
            if is_slower:
                self._kept = own
                self._tell_kept("check", len(own.trials))

    def _model_alone(self) -> Generator[Any, None, None]:
        """The same batch again and again: the most that any loader could give, and what the step takes with nobody beside it."""
        if self._left() <= _SHORTEST_S or self._last_batch is None:
            return
        self._tell({"kind": "progress", "step": "model", "trying": "the same batch again"})
        same = SameBatch(self._last_batch)
        trial = yield from try_out(lambda: same, min(_LONGEST_S / 2, self._left() / 2))
        busy = statistics.median(trial.work for trial in self._kept.trials)
        self._tell({"kind": "alone", "rate": trial.rate, "work": trial.work, "work_beside_loader": busy})

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _steps(self) -> list[tuple[str, Callable[[], list[Choice]]]]:
        return [
            ("workers", self._workers),
            ("pin_memory", self._pinning),
            ("prefetch", self._prefetching),
            ("persistent", self._persistent),
            ("threads", self._threads),
            ("gpu", self._gpu_decoding),
        ]

    def _workers(self) -> list[Choice]:
        own = self._kept.choice
        choices = (own.also(f"num_workers={n}", num_workers=n) for n in (0, *worker_counts(self._here.cores)))
        return [choice for choice in choices if choice.settings != own.settings]

    def _pinning(self) -> list[Choice]:
        kept = self._kept.choice
        wanted = self._here.cuda and not kept.settings.get("pin_memory")
        return [kept.also("pin_memory", pin_memory=True)] if wanted else []

    def _prefetching(self) -> list[Choice]:
        kept = self._kept.choice
        if not kept.workers:
            return []
        others = [n for n in (2, 4, 8) if n != kept.settings.get("prefetch_factor", 2)]
        return [kept.also(f"prefetch_factor={n}", prefetch_factor=n) for n in others]

    def _persistent(self) -> list[Choice]:
        kept = self._kept.choice
        wanted = kept.workers and not kept.settings.get("persistent_workers")
        return [kept.also("persistent_workers", persistent_workers=True)] if wanted else []

    def _threads(self) -> list[Choice]:
        self._native = can_be_native(self._loader)
        if not self._native:
            return []
        kept, cores = self._kept.choice, self._here.cores
        numbers = dict.fromkeys(
            [cores, 2 * cores, max(1, cores - 1), max(1, cores // 2)]
        )  # the usual one has the first say
        workers = max(1, kept.workers)
        return [kept.also(f"fastload, threads={n}", ours=True, num_workers=workers, threads=n) for n in numbers]

    def _gpu_decoding(self) -> list[Choice]:
        if not (self._native and self._here.cuda):
            return []
        if self._here.no_decoder:
            self._tell({"kind": "step", "step": "gpu", "skipped": self._here.no_decoder})
            return []
        kept = self._kept.choice
        base = kept if kept.workers else kept.also("", num_workers=1)
        return [base.also(f'decode="{how}"', ours=True, device="cuda", decode=how) for how in ("gpu", "hybrid")]

    def _step(self, name: str, choices: list[Choice], seconds: float) -> Generator[Any, None, None]:
        """Measures the kept settings and their rivals in turn, and keeps what gains."""
        contenders = [self._kept, *map(_Contender, choices)]
        self._kept.trials, self._kept.out = [], False
        until = min(self._until, time.monotonic() + seconds)
        each = max(_SHORTEST_S, min(_LONGEST_S, seconds / (2 * _ROUNDS * len(contenders))))
        complete = 0
        for turn in range(_MOST_ROUNDS):
            if turn >= 2 and self._is_decided(contenders, clearly=turn < _ROUNDS):
                break
            for contender in self._racing(contenders):
                needed = max(contender.seconds, each)
                if (turn > 0 and time.monotonic() + needed > until) or self._left() < needed:
                    break
                self._tell({"kind": "progress", "step": name, "trying": contender.choice.name})
                yield from self._try(contender, each)
            else:
                complete += 1
                continue
            break
        self._conclude(name, contenders, complete)

    def _racing(self, contenders: list[_Contender]) -> list[_Contender]:
        """The kept one, and those that may yet be better. Who is out stays out: rates are compared round by round."""
        best = max(contender.rate for contender in contenders)
        for contender in contenders:
            hopeless = contender.trials and contender.rate <= _HOPELESS * best
            contender.out = contender.out or bool(contender.failed or (hopeless and contender is not self._kept))
        return [contender for contender in contenders if not contender.out]

    def _is_decided(self, contenders: list[_Contender], *, clearly: bool) -> bool:
        """Whether the best so far is ahead of each other one by more than the noise; if not ``clearly``, or by next to nothing."""
        racing = self._racing(contenders)
        best = max(racing, key=lambda contender: contender.rate, default=self._kept)
        ahead = [gain(other.rates, best.rates) for other in racing if other is not best]
        return all(one.is_clear or (not clearly and (one.is_one or one.median < _NEXT_TO_NOTHING)) for one in ahead)

    def _try(self, contender: _Contender, seconds: float) -> Generator[Any, None, None]:
        began = time.monotonic()
        try:
            trial = yield from try_out(lambda: made_like(self._loader, contender.choice), seconds)
        except GeneratorExit:
            raise
        except Exception as error:  # of this setting: the others go on
            contender.failed = f"{type(error).__name__}: {error}"[:300]
            return
        contender.trials.append(trial)
        contender.seconds = time.monotonic() - began
        self._tell({"kind": "trial", "name": contender.choice.name, "rate": trial.rate})

    def _conclude(self, name: str, contenders: list[_Contender], rounds: int) -> None:
        kept = self._kept
        for rival in contenders[1:]:
            better = gain(kept.rates, rival.rates)
            if rival.trials and (better.is_one or not kept.trials):
                kept = rival
        for contender in contenders:
            self._tell(_row(name, contender, gain(contenders[0].rates, contender.rates), contender is kept))
        self._kept = kept
        self._tell_kept(name, rounds)

    def _tell_kept(self, name: str, rounds: int) -> None:
        kept = self._kept.choice
        found = {"settings": dict(kept.settings), "ours": kept.ours, "own": kept.own}
        self._tell({"kind": "step", "step": name, "rounds": rounds, **found})


# How the time is divided among the steps.
_WEIGHTS = {"workers": 5, "pin_memory": 2, "prefetch": 3, "persistent": 2, "threads": 4, "gpu": 3}
_CHECK_WEIGHT, _CHECK_ROUNDS = 2, 2


def worker_counts(cores: int) -> list[int]:
    """1 and 2 on few cores; 4, 8, 16, … up to the cores, and as many as there are."""
    doubled = [2**k for k in range(2, 10) if 2**k <= cores]
    few = [n for n in (1, 2) if n <= cores] if cores < 8 else []
    return sorted({*few, *doubled, cores})


def _row(step: str, contender: _Contender, better: Any, is_kept: bool) -> dict[str, Any]:
    line: dict[str, Any] = {
        "kind": "row",
        "step": step,
        "name": contender.choice.name,
        "settings": dict(contender.choice.settings),
        "ours": contender.choice.ours,
        "kept": is_kept,
        "error": contender.failed or None,
        "rates": contender.rates,
    }
    if contender.trials:
        median = sorted(contender.trials, key=lambda trial: trial.rate)[len(contender.trials) // 2]
        values = asdict(median)
        line.update((key, values[key]) for key in ("rate", "steady", "start", "wait", "work", "images", "stats"))
        line.update(gain=better.median, noise=better.noise)
        line["spans"] = [[trial.began, trial.ended] for trial in contender.trials]
    return line
