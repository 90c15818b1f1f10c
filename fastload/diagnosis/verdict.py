"""The facts of a run → what holds it up: one of a fixed set of kinds, what exactly, and a sentence with its numbers."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from fastload.diagnosis.contention import memory_is_short, quota_throttles, threads_in_the_way
from fastload.diagnosis.facts import Facts, LoaderFacts
from fastload.diagnosis.fetch_costs import (
    AUGMENTING,
    CORES,
    DECODING,
    NESTED,
    PYTHON,
    SHARED_MEMORY,
    STORAGE,
    Costs,
    batch_seconds,
    costs_of,
)
from fastload.diagnosis.shares import (
    COMPUTE,
    COPY,
    EPOCH_START,
    LAUNCH,
    MAIN_THREAD,
    QUEUE,
    RANKS,
    Shares,
    shares_of,
)

KINDS = (
    *("compute", "decode", "augment", "python", "storage_latency", "storage_bandwidth", "cold_cache", "memory"),
    *("pageable_copies", "pinned_copies", "too_few_workers", "too_many_workers", "nested_pool", "shm", "epoch_start"),
    *("main_thread", "one_slow_sample", "one_slow_rank", "balanced", "not_enough_data"),
)

_FEWEST_STEPS = 8
# Of the step time. Below it nothing that a loader could do would be noticed.
_FINE = 0.10
# A loader that is busy for more of the time has nothing in reserve.
_BUSY = 0.65
_NOTICED = 0.03  # of the time: worth a word
_EXPLAINS = 0.15  # of the wait: nothing smaller is its cause
_LARGE_BATCH = 2**20  # bytes: smaller ones cost nothing to copy
# A batch that nobody waited for to its end: longer than so many seconds, and so many usual steps.
_HANGS_S, _HANGS = 1.0, 5.0


@dataclass
class Verdict:
    """What was found; ``what`` names the function, file, rank or resource."""

    kind: str
    what: str | None
    sentence: str


def verdict_of(facts: Facts, loader: LoaderFacts | None = None, shares: Shares | None = None) -> Verdict:
    """For one loader; None: the one that took most of the time."""
    loader = loader or facts.main
    if loader is None:
        return Verdict("not_enough_data", None, "No DataLoader was iterated over.")
    if broken := _shared_memory_is_full(facts, loader):
        return broken
    steps = [step for step in loader.steps if step.work is not None]
    if len(steps) < _FEWEST_STEPS:
        few = f"Only {len(steps)} whole steps were seen; a verdict needs {_FEWEST_STEPS}.{_hang(loader)}"
        return Verdict("not_enough_data", None, few)
    shares = shares or shares_of(facts, loader)
    found = (
        _slow_rank(facts, loader, shares)
        or _copies(loader, shares)
        or _fine(loader, shares)
        or _largest_cost(facts, loader, shares)
    )
    if (
        max(shares.seconds, key=lambda kind: shares.seconds[kind]) == EPOCH_START
        and shares.first > shares[EPOCH_START] / 2
    ):
        found.sentence += " Most of the time went into the first epoch's start, of which a longer run has no more."
    found.sentence += _hang(loader)
    return found


def _hang(loader: LoaderFacts) -> str:
    """A sentence about the batch that was waited for when the run was interrupted, if that is what it was interrupted for."""
    waited = loader.open_wait
    usual = statistics.median([step.wait + (step.work or 0.0) for step in loader.steps] or [0.0])
    if waited is None or waited < max(_HANGS_S, _HANGS * usual):
        return ""
    at = [fetch for fetch in loader.open_fetches if fetch.slowest and fetch.slowest[0] > waited / 2]
    mine = [fetch for fetch in at if fetch.worker == loader.open_worker] or at
    who = "" if loader.open_worker is None else f"worker {loader.open_worker}"
    where = ""
    if mine and mine[0].slowest:
        _, index, path = mine[0].slowest
        who = who or ("the loop itself" if mine[0].worker < 0 else f"worker {mine[0].worker}")
        where = f" was at item {index}" + (f", {path}" if path else "")
    who = who and f" ({who}{where or ' was to give it'})"
    return f" In the end no batch came for {waited:.1f} s{who}."


def _waits(shares: Shares) -> str:
    first = f" ({shares.first:.0%} the first epoch's start)" if shares.first > _NOTICED else ""
    return f"{shares.waited:.0%} of the time{first}"


def _shared_memory_is_full(facts: Facts, loader: LoaderFacts) -> Verdict | None:
    error = loader.error or ""
    full = "shared memory" in error or "Bus error" in error or ("No space left" in error and "shm" in error)
    if not full:
        return None
    size = facts.machine.most("shm", "size") / 2**20
    return Verdict(
        "shm", "/dev/shm", f"/dev/shm ({size:.0f} MiB) is too small for the batches under way: {error[:200]}"
    )


def _slow_rank(facts: Facts, loader: LoaderFacts, shares: Shares) -> Verdict | None:
    ranks = [other for other in facts.loaders if other.number == loader.number and other.ranks == loader.ranks > 1]
    if len(ranks) < 2:
        return None
    lost = {other.rank: _while_running(shares_of(facts, other)) for other in ranks}
    worst, share = max(lost.items(), key=lambda item: item[1])
    if share < 0.15:
        return None
    slowest = min(ranks, key=lambda other: sum(step.sync for step in other.steps))
    own = shares_of(facts, slowest)
    reason = "its loader" if own.waiting > 0.3 else "its computing"
    return Verdict(
        "one_slow_rank",
        f"rank {slowest.rank}",
        f"Rank {slowest.rank} is slower than the others, by {reason}: rank {worst} spends {share:.0%} of "
        "its time after the first epoch's start waiting for it.",
    )


def _while_running(shares: Shares) -> float:
    """The share of waiting for other ranks, of the time after the first epoch's start."""
    return shares[RANKS] / max(1.0 - shares.first, 1e-9)


def _copies(loader: LoaderFacts, shares: Shares) -> Verdict | None:
    if shares[COPY] < _FINE or shares[COPY] < shares.waiting:
        return None
    copied, pageable = (sum(each[kind] for each in loader.device) for kind in ("copy", "pageable"))
    kind, memory = ("pageable_copies", "pageable") if pageable >= copied / 2 else ("pinned_copies", "pinned")
    return Verdict(
        kind,
        "copies to the device",
        f"Copying batches to the device, from {memory} memory, takes {shares[COPY]:.0%} of the step time, and computing waits "
        "for it.",
    )


def _fine(loader: LoaderFacts, shares: Shares) -> Verdict | None:
    # Other programs that have the cores make everything slower: no loader helps.
    others = 0.0 if loader.crowded else shares[CORES]
    if shares.waiting - others >= _FINE:
        return None
    busy = busy_share(loader)
    waits = _waits(shares) + (f", {others:.0%} for cores that other programs have" if others > _NOTICED else "")
    if busy is not None and busy >= _BUSY:
        return Verdict(
            "balanced",
            None,
            f"The loader is fine: the job waits for it {waits}. It is busy for {busy:.0%} of the "
            "time: a faster model would begin to wait.",
        )
    idle = (
        f", in {shares[LAUNCH]:.0%} no kernel runs on the GPU: launches, synchronising, Python"
        if shares[LAUNCH]
        else ""
    )
    own = shares[COMPUTE] + shares[LAUNCH]
    return Verdict(
        "compute",
        "the training step",
        f"The loader is fine: {own:.0%} of the time is the training step's own{idle}; it waits {waits}.",
    )


def busy_share(loader: LoaderFacts) -> float | None:
    """How much of the time those who make batches work at it; None where the consumer makes them itself."""
    if not loader.workers or not loader.steps:
        return None
    seconds = loader.seconds
    if loader.is_native:
        worked = sum(sum(stats["stages"].values()) for stats in loader.stats.values())
    else:
        worked = sum(fetch.wall for fetch in loader.fetches) + loader.sent
    return min(1.0, worked / loader.workers / seconds) if seconds > 0 else None


def _largest_cost(facts: Facts, loader: LoaderFacts, shares: Shares) -> Verdict:
    """What most of the wait is for; first what lets everything else wait."""
    if memory := memory_is_short(facts, loader, shares):
        return Verdict("memory", *memory)
    costs = costs_of(loader)
    parts = _parts(loader, shares, costs)
    largest = max(parts, key=lambda kind: parts[kind])
    quota = quota_throttles(facts, loader)  # first: what it stops counts as wanting a core
    crowd = ("CPU quota", quota) if quota else threads_in_the_way(facts, loader, shares)
    if crowd and shares[CORES] >= parts[largest]:
        return Verdict("too_many_workers", *crowd)
    if parts[largest] < _EXPLAINS * (shares.waiting - shares[CORES]):
        return _unexplained(facts, shares)
    if largest == STORAGE:
        return storage_verdict(loader, shares)
    if quota:
        return Verdict("too_many_workers", "CPU quota", quota)
    if largest == EPOCH_START:
        return _starts(loader, shares)
    if largest == QUEUE and shares.held_by:
        return _slow_sample(shares)
    if largest == NESTED:
        return Verdict(
            "nested_pool",
            _largest(costs) or "__getitem__",
            f"Threads or processes are started and awaited inside items: {shares[NESTED]:.0%} of the time.",
        )
    if largest == MAIN_THREAD:
        return _main_thread(loader, shares)
    if largest == SHARED_MEMORY:
        return _sent(loader, shares)
    return _in_the_loader(facts, loader, shares, costs, largest)


def _unexplained(facts: Facts, shares: Shares) -> Verdict:
    others = f", {shares[CORES]:.0%} of it for cores that other programs had" if shares[CORES] > 0.05 else ""
    return Verdict(
        "not_enough_data",
        None,
        f"The job waits {_waits(shares)}{others}, and nothing that was measured explains the rest.",
    )


def _parts(loader: LoaderFacts, shares: Shares, costs: Costs) -> dict[str, float]:
    """The shares that a verdict may rest on."""
    kinds = (STORAGE, DECODING, AUGMENTING, PYTHON, NESTED, SHARED_MEMORY, QUEUE, MAIN_THREAD)
    parts = {kind: shares[kind] for kind in kinds}
    parts[EPOCH_START] = shares[EPOCH_START] - shares.first
    python = sum(costs.functions.values())
    if python:  # of many small ones none is the cause
        parts[PYTHON] *= max(costs.functions.values()) / python
    if _batch_size(loader) + loader.pickled_size < _LARGE_BATCH:
        parts[SHARED_MEMORY] = 0.0
    elif loader.pickled_size > _batch_size(loader):  # which the main thread unpickles
        unpickling = shares[MAIN_THREAD] * (1 - _sampler_share(loader, shares))
        parts[MAIN_THREAD] -= unpickling
        parts[SHARED_MEMORY] += unpickling
    return parts


def _sampler_share(loader: LoaderFacts, shares: Shares) -> float:
    """Of the main thread's time inside next()."""
    return min(1.0, sum(step.sampler for step in loader.steps) / max(shares.seconds[MAIN_THREAD], 1e-9))


def _batch_size(loader: LoaderFacts) -> float:
    return statistics.median(step.size for step in loader.steps)


def _sent(loader: LoaderFacts, shares: Shares) -> Verdict:
    """Batches on their way from a worker."""
    shared, pickled = _batch_size(loader), loader.pickled_size
    if pickled > shared:
        how = f"pickling and unpickling its batches: {pickled / 2**20:.0f} MiB each that are no tensors"
        return Verdict("shm", "pickling", f"The job waits {_waits(shares)}, mostly for {how}.")
    how = f"copies of its batches of {shared / 2**20:.0f} MiB to shared memory"
    return Verdict("shm", "shared memory", f"The job waits {_waits(shares)}, mostly for {how}.")


def _starts(loader: LoaderFacts, shares: Shares) -> Verdict:
    starts = len(loader.starts)
    return Verdict(
        "epoch_start",
        "starting workers" if loader.what.get("num_workers") else "iter(loader)",
        f"Starting an epoch takes {shares.seconds[EPOCH_START] / max(1, starts):.2f} s, {shares[EPOCH_START]:.0%} of the time, "
        f"{starts} times.",
    )


def _slow_sample(shares: Shares) -> Verdict:
    seconds, index, path = shares.held_by[0]
    what = path or f"sample {index}"
    return Verdict(
        "one_slow_sample",
        what,
        f"{what} takes {seconds * 1e3:.0f} ms and holds its batch: waiting for such ones is {shares[QUEUE]:.0%} of the time.",
    )


def _main_thread(loader: LoaderFacts, shares: Shares) -> Verdict:
    is_sampler = _sampler_share(loader, shares) > 0.5
    what = f"the sampler ({loader.what.get('sampler')})" if is_sampler else "the main thread"
    return Verdict(
        "main_thread", what, f"{what[0].upper()}{what[1:]} takes {shares[MAIN_THREAD]:.0%} of the time inside next()."
    )


def _in_the_loader(facts: Facts, loader: LoaderFacts, shares: Shares, costs: Costs, largest: str) -> Verdict:
    """What making a batch costs, and who could share it."""
    if crowd := threads_in_the_way(facts, loader, shares):
        return Verdict("too_many_workers", crowd[0], crowd[1])
    if few := _too_few(facts, loader, shares):
        return few
    if largest == PYTHON:
        function = _largest(costs) or "the data set"
        part = costs.functions.get(function, 0.0) / costs.total if costs.total else 0.0
        return Verdict(
            "python",
            function,
            f"The loader cannot keep up: the job waits {_waits(shares)}, and {function} is {part:.0%} of a "
            "batch's cost.",
        )
    if largest == AUGMENTING:
        name = max(costs.augmentations, key=lambda one: costs.augmentations[one])
        return Verdict(
            "augment",
            name,
            f"The loader cannot keep up: the job waits {_waits(shares)}, {shares[AUGMENTING]:.0%} for augmentations, of which "
            f"{name} costs most.",
        )
    return Verdict(
        "decode",
        "decoding",
        f"The loader cannot keep up: the job waits {_waits(shares)}, {shares[DECODING]:.0%} for decoding.",
    )


def storage_verdict(loader: LoaderFacts, shares: Shares) -> Verdict:
    """Storage it is: only in the first epoch, by the request or by the byte."""
    by_epoch = [parts[STORAGE] for _, parts in sorted(shares.by_epoch.items())]
    share = f"{shares[STORAGE]:.0%} of the time is waiting for storage"
    if len(by_epoch) > 1 and by_epoch[0] >= 0.2 and max(by_epoch[1:]) <= 0.25 * by_epoch[0]:
        return Verdict(
            "cold_cache",
            "the first epoch",
            f"{share}, but only until files are in memory: {by_epoch[0]:.0%} of the first epoch, {max(by_epoch[1:]):.0%} later.",
        )
    probe: dict[str, Any] = loader.experiments.get("storage") or {}
    if "request_s" in probe:
        by_request, by_byte = probe["request_s"], probe["byte_s"] * probe["file_bytes"]
        kind = "storage_latency" if by_request >= by_byte else "storage_bandwidth"
        measured = (
            f"a file of {probe['file_bytes'] / 1024:.0f} KiB costs {by_request * 1e3:.1f} ms for the request and "
            f"{by_byte * 1e3:.1f} ms for its bytes"
        )
        return Verdict(kind, probe.get("place") or "storage", f"{share}: {measured}.")
    read = sum(fetch.read_bytes for fetch in loader.fetches)
    rate = read / max(loader.seconds, 1e-9) / 2**20
    kind = "storage_bandwidth" if rate > 10 else "storage_latency"
    return Verdict(kind, "storage", f"{share}, at {rate:.1f} MiB/s from the device.")


def _too_few(facts: Facts, loader: LoaderFacts, shares: Shares) -> Verdict | None:
    """Whether the same loader with a worker for each core would keep up with the training step."""
    cores = int(facts.machine.cores)
    batch = batch_seconds(loader)
    overlapped = bool(loader.what.get("num_workers"))
    if batch is None or (loader.workers >= cores and overlapped):
        return None
    works = [step.worked for step in loader.steps if step.work is not None]
    work = statistics.mean(works)
    if batch / max(1, cores) > 1.1 * work:
        return None
    now = loader.what.get("num_workers", 0)
    needed = min(cores, max(1, -(-int(batch * 1e6) // max(1, int(work * 1e6)))))
    return Verdict(
        "too_few_workers",
        f"num_workers={now}",
        f"A batch takes {batch * 1e3:.0f} ms of one worker and a training step {work * 1e3:.0f} ms: {needed} of {cores} cores "
        f"would keep up, num_workers={now} does not, and the job waits {_waits(shares)}.",
    )


def _largest(costs: Costs) -> str | None:
    return max(costs.functions, key=lambda name: costs.functions[name], default=None)
