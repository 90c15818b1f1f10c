"""What the machine lacked while a run lasted: cores, time of a quota, memory."""

from __future__ import annotations

from fastload.diagnosis.facts import Facts, LoaderFacts, Machine
from fastload.diagnosis.fetch_costs import CORES, STORAGE
from fastload.diagnosis.shares import Shares

# Of the periods of a quota: in so many the group's processes were stopped.
_THROTTLED = 0.3
# Threads that want a core, on average: so many for each that there is, beside the consumer's own.
_CROWDED, _CONSUMER = 1.5, 0.5
_SWAPPED_PER_S = 50.0  # pages
_REFAULTED = 0.3  # of the pages read: they had been in memory


def is_crowded(machine: Machine) -> bool:
    """Whether the run's own threads are more than the cores, or stopped by a quota; not where other programs have the cores."""
    throttled = machine.grew("group", "throttled") >= _THROTTLED * machine.grew("group", "periods") > 0
    return throttled or _too_many_want_cores(machine)


def _too_many_want_cores(machine: Machine) -> bool:
    return machine.mean("tree_runnable") >= _CROWDED * max(1.0, machine.cores) + _CONSUMER


def quota_throttles(facts: Facts, loader: LoaderFacts) -> str | None:
    """A sentence where a control group's CPU quota stops the run."""
    machine = facts.machine.during(*loader.span)
    periods, throttled = machine.grew("group", "periods"), machine.grew("group", "throttled")
    quota = machine.most("group", "quota_cores")
    if not quota or periods < 5 or throttled < _THROTTLED * periods:
        return None
    return (
        f"The control group's quota of {quota:g} cores is used up in {throttled / periods:.0%} of its periods: workers and threads "
        f"are stopped until the next one ({machine.grew('group', 'throttled_s'):.1f} s in {machine.seconds:.1f} s)."
    )


def threads_in_the_way(facts: Facts, loader: LoaderFacts, shares: Shares) -> tuple[str, str] | None:
    """(what, a sentence) where workers, or threads in them, are more than the cores and wait for each other."""
    machine = facts.machine.during(*loader.span)
    runnable = machine.mean("tree_runnable")
    cores = max(1.0, machine.cores)
    own, others = (sum(getattr(fetch, name) for fetch in loader.fetches) for name in ("cpu", "others_cpu"))
    if not _too_many_want_cores(machine) or loader.is_native:
        return None
    if others > own > 0:
        return (
            "threads inside workers",
            f"{loader.workers or 1} workers start threads of their own, which do {others / (own + others):.0%} of their work: "
            f"{runnable:.1f} threads want {cores:g} cores.",
        )
    if loader.workers >= 2 * cores and shares[CORES] >= 0.25 * shares.waiting:
        return (
            f"num_workers={loader.workers}",
            f"{loader.workers} workers share {cores:g} cores: {runnable:.1f} threads want to run at a time, and waiting for "
            f"a core is {shares[CORES]:.0%} of the time.",
        )
    return None


def memory_is_short(facts: Facts, loader: LoaderFacts, shares: Shares) -> tuple[str, str] | None:
    """(what, a sentence) where memory is swapped, or files are read again because it does not hold them."""
    machine = facts.machine.during(*loader.span)
    seconds = max(machine.seconds, 1e-9)
    swapped = (machine.grew("vm", "pswpin") + machine.grew("vm", "pswpout")) / seconds
    if swapped > _SWAPPED_PER_S and machine.most("memory_available"):
        return (
            "swap",
            f"Memory is swapped, {swapped:.0f} pages a second, while the job waits {shares.waited:.0%} of the time.",
        )
    refaulted = machine.grew("vm", "workingset_refault_file") * 4096
    read = machine.grew("disk", "read_bytes")
    limit, used = machine.most("group", "memory_limit"), machine.most("group", "memory_used")
    limited = 0 < limit < machine.most("memory_total") and used >= 0.9 * limit
    waits = shares[STORAGE] >= 0.3 * shares.waiting
    if limited and waits and (machine.grew("group", "memory_failures") > 0 or refaulted > _REFAULTED * read > 0):
        return (
            "the control group's memory",
            f"The control group's {limit / 2**20:.0f} MiB are full and files are dropped from memory before they are read again: "
            f"{refaulted / 2**20:.0f} MiB came back from the device, {shares[STORAGE]:.0%} of the time is waiting for it.",
        )
    return None
