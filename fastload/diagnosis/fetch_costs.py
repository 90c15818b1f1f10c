"""What a batch is made of, in shares of the time that it takes to make: storage, decoding, Python code by name, …"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fastload.diagnosis.facts import Fetch, LoaderFacts
from fastload.diagnosis.fetch_stages import COLLATE, DECODE, ITEM, POOL, TRANSFORM

STORAGE, DECODING, AUGMENTING, PYTHON, CORES, SHARED_MEMORY, NESTED, REST = (
    "storage",
    "decode",
    "augment",
    "python",
    "cores",
    "shared_memory",
    "pool",
    "rest",
)
# torch's own collate functions copy what they are given: into shared memory, in a worker.
_COPIES = ("default_collate", "default_convert")
# Of the seconds in which items waited, this share must have been seen to be for storage.
_SEEN = 0.3
# Native stages; "turn" waits for another sample's, and those with other names are augmentations.
_NATIVE = {
    **dict.fromkeys(("header", "draw", "decode", "resample", "pack", "fallback"), DECODING),
    "read": STORAGE,
    "turn": REST,
}


class Costs:
    """Seconds by kind, and of Python code by function, of native augmentations by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.functions: dict[str, float] = defaultdict(float)
        self.augmentations: dict[str, float] = defaultdict(float)

    def add(self, kind: str, seconds: float, function: str | None = None) -> None:
        """More of it."""
        self.seconds[kind] += seconds
        if function is not None:
            self.functions[function] += seconds

    @property
    def total(self) -> float:
        """All seconds."""
        return sum(self.seconds.values())

    def shares(self) -> dict[str, float]:
        """Of one, by kind; all is rest where nothing is known."""
        total = self.total
        return {kind: seconds / total for kind, seconds in self.seconds.items()} if total > 0 else {REST: 1.0}


def costs_of(loader: LoaderFacts, fetches: Iterable[Fetch] | None = None, from_storage: bool | None = None) -> Costs:
    """Of these batches (None: all), as far as their stages were looked at; of native threads by what they counted.

    ``from_storage``: what ``waits_for_storage`` says, for who asks about many batches one by one.
    """
    costs = Costs()
    if loader.is_native:
        for stats in loader.stats.values():
            for stage, seconds in stats.get("stages", {}).items():
                costs.add(_NATIVE.get(stage, AUGMENTING), seconds)
                if stage not in _NATIVE:
                    costs.augmentations[stage] += seconds
        return costs
    if from_storage is None:
        from_storage = waits_for_storage(loader)
    item = _item_of(loader)
    detailed = [fetch for fetch in (loader.fetches if fetches is None else fetches) if fetch.stages is not None]
    for fetch in detailed:
        _add(costs, fetch, from_storage, item, in_worker=loader.workers > 0)
    if detailed and loader.sent:
        costs.add(SHARED_MEMORY, loader.sent * len(detailed) / len(loader.fetches))
    return costs


def _item_of(loader: LoaderFacts) -> str:
    """What gives samples, as a function."""
    return f"{(loader.what.get('dataset') or ['the data set'])[-1]}.{loader.what.get('items_by', '__getitem__')}"


def _add(costs: Costs, fetch: Fetch, from_storage: bool, item: str, *, in_worker: bool) -> None:
    stages = fetch.stages or {}
    idle = sum(max(0.0, wall - cpu) for wall, cpu, _ in stages.values())
    queued = min(fetch.queued, idle)
    left = 1.0 - queued / idle if idle > 0 else 1.0  # of what no core was used for, what was no waiting for a core
    costs.add(CORES, queued)
    spent = 0.0
    for name, (wall, cpu, _) in stages.items():
        spent += wall
        waited = max(0.0, wall - cpu) * left
        worked = min(wall, cpu)
        if name in (DECODE, ITEM):
            kind = DECODING if name == DECODE else PYTHON
            function = None if name == DECODE else item
            costs.add(kind, worked, function)
            costs.add(STORAGE if from_storage else kind, waited, None if from_storage else function)
        elif name == POOL:
            costs.add(NESTED, worked + waited, item)
        elif name.startswith(TRANSFORM):
            costs.add(PYTHON, worked + waited, name.removeprefix(TRANSFORM))
        elif name.startswith(COLLATE):
            function = name.removeprefix(COLLATE)
            if function in _COPIES and in_worker:
                costs.add(SHARED_MEMORY, worked)
                costs.add(REST, waited)
            else:
                costs.add(PYTHON, worked + waited, function)
    costs.add(REST, max(0.0, fetch.wall - spent))


def batch_seconds(loader: LoaderFacts) -> float | None:
    """Seconds of one worker or thread for one batch."""
    if loader.is_native:
        batches = sum(stats["batches"] for stats in loader.stats.values())
        return sum(sum(stats["stages"].values()) for stats in loader.stats.values()) / batches if batches else None
    if not loader.fetches:
        return None
    return (sum(fetch.wall for fetch in loader.fetches) + loader.sent) / len(loader.fetches)


def waits_for_storage(loader: LoaderFacts) -> bool:
    """Whether what items waited for, other than a core, was a file system or a device."""
    waited = sum(
        max(0.0, wall - cpu)
        for fetch in loader.fetches
        for name, (wall, cpu, _) in (fetch.stages or {}).items()
        if name in (ITEM, DECODE)
    )
    waited -= sum(fetch.queued for fetch in loader.fetches if fetch.stages is not None)
    looked_at = sum(fetch.wall for fetch in loader.fetches if fetch.stages is not None)
    if waited <= 0 or not looked_at:
        return False
    if loader.storage_share is not None:
        busy = sum(fetch.wall for fetch in loader.fetches)
        ends = [fetch.at + fetch.wall for fetch in loader.fetches]
        processes = len({fetch.pid for fetch in loader.fetches})
        span = processes * (max(ends) - min(fetch.at for fetch in loader.fetches))
        seen = loader.storage_share * span * looked_at / busy
        return seen >= _SEEN * waited
    return sum(fetch.read_bytes for fetch in loader.fetches) > 4096 * sum(fetch.items for fetch in loader.fetches)
