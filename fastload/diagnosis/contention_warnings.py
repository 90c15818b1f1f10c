"""Where contention begins: a sentence for each resource of which more is wanted than there is."""

from __future__ import annotations

from fastload.diagnosis.doctor_check import in_bytes
from fastload.diagnosis.machine_now import MachineNow

# From where on a number is worth a warning. Shares are of the time between two looks.
_THROTTLED = 0.05  # of the quota's periods
_RUNNABLE = 2.0  # threads that run or want to, for each core
_STEAL = 0.05
_SWAPPED = 50.0  # pages a second
_PRESSURE = {"cpu": 0.6, "io": 0.4, "memory": 0.1}  # some task waits for it
_DISK = 0.9
_SHM = 0.1  # of it is free
_AVAILABLE = 0.05  # of the memory


def contention(now: MachineNow) -> list[str]:
    """None where all is well."""
    said = []
    if now.throttled is not None and now.throttled > _THROTTLED:
        said.append(
            f"CPU quota: the time of {now.usable_cores:g} cores was used up in {now.throttled:.0%} of the periods"
        )
    if now.runnable > _RUNNABLE * now.usable_cores:
        said.append(f"run queue: {now.runnable:.1f} threads want {now.usable_cores:g} cores")
    if now.steal > _STEAL:
        said.append(f"steal: other virtual machines had {now.steal:.0%} of the cores' time")
    if now.swapped_pages > _SWAPPED:
        said.append(f"swap: {now.swapped_pages:,.0f} pages a second go to a disk or come back")
    if now.memory_available < _AVAILABLE * now.memory_total:
        said.append(f"memory: {in_bytes(now.memory_available)} of {in_bytes(now.memory_total)} are available")
    for name, share in now.pressure.items():
        if share > _PRESSURE.get(name, 1.0):
            said.append(f"pressure: some task waited for {name} {share:.0%} of the time")
    if now.busiest_disk is not None and now.busiest_disk[1] > _DISK:
        name, share = now.busiest_disk
        said.append(f"disk: {name} was busy {share:.0%} of the time, {in_bytes(now.read_bytes)}/s are read")
    if now.shm_size > 0 and now.shm_free < _SHM * now.shm_size:
        said.append(
            f"/dev/shm: {in_bytes(now.shm_free)} of {in_bytes(now.shm_size)} are free; when it is full, workers die"
        )
    return said
