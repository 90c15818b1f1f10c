"""What may be wrong with the machine, or with the part of it that this process may use: facts -> checks."""

from __future__ import annotations

import math

from fastload.diagnosis.doctor_check import Check, in_bytes
from fastload.diagnosis.machine_facts import Cores, Facts

# float32 images of 224 x 224 pixels, 256 of them; a loader of torch's keeps two for each worker.
_BATCH = 256 * 3 * 224 * 224 * 4
_PREFETCH = 2
_MANY_WORKERS = 8
# Open files of one of torch's workers whose batches have 8 tensors, as counted with torch 2.11; and what else a process has open.
_FILES_A_WORKER = 16
_FILES_ELSE = 256
# Of a process with torch and torchvision for CUDA, in which nothing has been loaded yet.
_PROCESS = 610 << 20
_GIB = 1 << 30
_WHO_HAS_IT = "ps -eo pid,rss,args --sort=-rss | head  # and end what is not needed"


def usable(cores: Cores) -> int:
    """By affinity and quota; part of a core counts as one."""
    return max(1, min(cores.allowed, math.ceil(cores.quota or cores.allowed)))


def check_cores(facts: Facts) -> Check | None:
    """Usable ones against visible ones."""
    if (cores := facts.cores) is None:
        return None
    if cores.allowed >= cores.visible:
        return Check("cores", f"all {cores.visible} cores may be used")
    rate = facts.reads.decoded if facts.reads else None
    rate_said = f"; those decode {rate:,.0f} images/s" if rate and usable(cores) == cores.allowed else ""
    return Check(
        "cores",
        f"this process may run on {cores.allowed} of {cores.visible} cores",
        f"the affinity leaves {cores.visible - cores.allowed} without work, and who counts the visible ones starts "
        f"{cores.visible / cores.allowed:.1f} workers for each core it has{rate_said}",
        _more_cores(
            facts, f"taskset -c 0-{cores.visible - 1} COMMAND, or srun --cpus-per-task={cores.visible} COMMAND"
        ),
    )


def _more_cores(facts: Facts, elsewhere: str) -> str:
    most = facts.cores.visible if facts.cores else 0
    return {
        "docker": f"docker run --cpus={most} --cpuset-cpus=0-{most - 1} …",
        "podman": f"podman run --cpus={most} --cpuset-cpus=0-{most - 1} …",
        "kubernetes": f"kubectl set resources deployment/NAME --limits=cpu={most}",
    }.get(facts.container or "", elsewhere)


def check_quota(facts: Facts) -> Check | None:
    """The time that control groups grant."""
    if (cores := facts.cores) is None:
        return None
    if cores.quota is None or cores.quota >= cores.allowed:
        return Check("quota", "control groups set no limit to the cores' time")
    throttled = ""
    if cores.throttled is not None:
        throttled = f"; it was stopped in {cores.throttled:.0%} of the periods so far"
    return Check(
        "quota",
        f"control groups grant the time of {cores.quota:g} of {cores.allowed} cores",
        f"who counts {cores.allowed} cores starts {cores.allowed / cores.quota:.1f} threads for each that is granted, and "
        f"all stop when the time of a period is used up{throttled}",
        _more_cores(facts, f"systemctl set-property --runtime UNIT CPUQuota={cores.allowed * 100}%"),
    )


def check_threads(facts: Facts) -> Check | None:
    """Threads that torch starts for one operation, in every process."""
    if (cores := facts.cores) is None or cores.torch_threads is None:
        return None
    if cores.torch_threads <= usable(cores):
        return Check("threads", f"torch starts {cores.torch_threads} threads for one operation")
    return Check(
        "threads",
        f"torch starts {cores.torch_threads} threads for one operation; usable cores: {usable(cores)}",
        f"{cores.torch_threads / usable(cores):.1f} threads wait for each core, in every process that uses torch",
        f"export OMP_NUM_THREADS={usable(cores)}",
    )


def check_memory(facts: Facts) -> Check | None:
    """What is free of RAM, or of the control groups' limit."""
    if (memory := facts.memory) is None:
        return None
    whole = memory.limit or memory.total
    of_what = f"of the limit of {in_bytes(whole)}" if memory.limit else f"of {in_bytes(whole)}"
    found = f"{in_bytes(memory.available)} {of_what} are available"
    if memory.available >= min(2 * _GIB, 0.2 * memory.total):
        return Check("memory", found)
    limits = {
        "docker": "docker run --memory=8g …",
        "podman": "podman run --memory=8g …",
        "kubernetes": "kubectl set resources deployment/NAME --limits=memory=8Gi",
    }
    return Check(
        "memory",
        found,
        f"a process with torch and torchvision takes {in_bytes(_PROCESS)}, and a batch of 256 images {in_bytes(_BATCH)}; "
        "what is short goes from the page cache first, and every epoch reads the storage",
        limits.get(facts.container or "", _WHO_HAS_IT) if memory.limit else _WHO_HAS_IT,
    )


def check_swap(facts: Facts) -> Check | None:
    """Whether memory is on a disk."""
    if (memory := facts.memory) is None:
        return None
    if memory.swap == 0:
        return Check("swap", "there is none")
    found = f"{in_bytes(memory.swap_used)} of {in_bytes(memory.swap)} are used"
    if memory.swapped_in < 1 << 20 and memory.swap_used < max(_GIB, 0.1 * memory.total):
        return Check("swap", found)
    now = f"{in_bytes(memory.swapped_in)} came back from it while doctor looked; " if memory.swapped_in else ""
    return Check(
        "swap",
        found,
        f"{now}memory that lies there is read from a disk before it can be used, {in_bytes(memory.swap_used)} of it",
        "sudo swapoff -a && sudo swapon -a" if memory.available > memory.swap_used else _WHO_HAS_IT,
    )


def check_shared_memory(facts: Facts) -> Check | None:
    """Room for what torch's worker processes hand over."""
    if (shared := facts.shared_memory) is None:
        return None
    workers = min(_MANY_WORKERS, usable(facts.cores) if facts.cores else _MANY_WORKERS)
    needed = workers * _PREFETCH * _BATCH
    found = f"/dev/shm has {in_bytes(shared.size)}, of which {in_bytes(shared.free)} are free"
    if shared.free >= needed:
        return Check("shm", found)
    gib = max(1, math.ceil(2 * needed / _GIB))
    mend = {
        "docker": f"docker run --shm-size={gib}g …",
        "podman": f"podman run --shm-size={gib}g …",
        "kubernetes": "kubectl patch deployment NAME --patch-file shm.yaml  # an emptyDir with medium: Memory on /dev/shm",
    }.get(facts.container or "", f"sudo mount -o remount,size={gib}g /dev/shm")
    inside = f", as a {facts.container} container has unless it is told otherwise" if shared.size <= 64 << 20 else ""
    return Check(
        "shm",
        found + inside,
        f"{workers} of torch's workers, each {_PREFETCH} batches of 256 float32 images of 224 x 224 ahead, need {in_bytes(needed)} "
        "and die of a bus error without; fastload's native threads need none",
        mend,
    )


def check_open_files(facts: Facts) -> Check | None:
    """Each tensor that a worker process hands over is an open file."""
    if (limit := facts.open_files) is None:
        return None
    workers = usable(facts.cores) if facts.cores else 1
    needed = _FILES_ELSE + _FILES_A_WORKER * workers
    found = (
        f"a process may have {limit.soft:,} files open" if limit.soft < 1 << 30 else "any number of files may be open"
    )
    if limit.soft >= needed:
        return Check("open_files", found)
    return Check(
        "open_files",
        found,
        f"{workers} of torch's workers take {_FILES_A_WORKER} each with 8 tensors a batch, and {_FILES_ELSE} more are usual: "
        f"{needed:,}; beyond comes 'Too many open files'",
        f"ulimit -n {min(limit.hard, max(65536, needed))}"
        if limit.hard >= needed
        else f"sudo prlimit --pid $$ --nofile={max(65536, needed)}",
    )


def check_numa(facts: Facts) -> Check | None:
    """Whether a GPU's memory traffic has to cross between the sockets."""
    if len(facts.nodes) < 2 or not any(gpu.numa_node is not None for gpu in facts.gpus):
        return None
    mine = {node for node, cores in facts.nodes.items() if cores & facts.allowed_cores}
    far = [(i, gpu) for i, gpu in enumerate(facts.gpus) if gpu.numa_node is not None and gpu.numa_node not in mine]
    where = ", ".join(f"GPU {i} at node {gpu.numa_node}" for i, gpu in enumerate(facts.gpus))
    if not far:
        return Check("numa", f"{len(facts.nodes)} nodes; {where}; the usable cores are at {_listed(mine)}")
    index, gpu = far[0]
    reached = f" (GPU {index}: {in_bytes(gpu.pinned)}/s from pinned memory, as measured)" if gpu.pinned else ""
    return Check(
        "numa",
        f"{where}; the usable cores are all at {_listed(mine)}",
        f"every batch crosses between the processors on its way to {len(far)} of {len(facts.gpus)} GPUs{reached}",
        f"numactl --cpunodebind={gpu.numa_node} --membind={gpu.numa_node} COMMAND",
    )


def _listed(nodes: set[int]) -> str:
    return ("node " if len(nodes) == 1 else "nodes ") + ", ".join(map(str, sorted(nodes)))


MACHINE_CHECKS = (
    check_cores,
    check_quota,
    check_threads,
    check_memory,
    check_swap,
    check_shared_memory,
    check_open_files,
    check_numa,
)
