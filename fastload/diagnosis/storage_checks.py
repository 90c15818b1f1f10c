"""What may be wrong with where a data set lies: facts -> checks. None of it is wrong that was measured to be fast enough."""

from __future__ import annotations

from fastload.diagnosis.doctor_check import Check, in_bytes, in_time
from fastload.diagnosis.machine_facts import DataSet, Facts, Reads

_OVER_A_NETWORK = (
    *(
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs3",
        "nfs4",
    ),
    *("ocfs2", "orangefs", "panfs", "smb3", "smbfs", "virtiofs", "wekafs"),
)
# One read in that time is a turn of a disk or a journey over a network; from flash it takes a tenth.
_SLOW = 2e-3


def is_over_a_network(file_system: str) -> bool:
    """Or through a program (FUSE), which comes to the same."""
    return file_system in _OVER_A_NETWORK or file_system.startswith("fuse.")


def check_file_system(facts: Facts) -> Check | None:
    """A network, a container's layers or a turning disk, where reading shows it."""
    if (data := facts.data) is None:
        return None
    reads = facts.reads
    found = f"{data.path} lies on {data.file_system} ({data.device})"
    kind = ""
    if is_over_a_network(data.file_system):
        kind, local = "over a network or through FUSE", "convert to a local disk, once"
    elif data.layers:
        kind, local = f"in {data.layers} layers of a container's image", "mount a volume of the host's"
    elif data.rotational:
        kind, local = "on what the kernel calls a turning disk", "convert to shards, which are read in order"
    if not kind:
        return Check("file_system", found)
    if reads is None or reads.dropped is False:
        return Check("file_system", f"{found}, {kind}; how fast it is was not measured")
    measured = f"a file takes {in_time(reads.random_p50)} (p99 {in_time(reads.random_p99)}) to open and read"
    if reads.random_p50 < _SLOW and not _is_behind(reads):
        return Check("file_system", f"{found}, {kind}, and fast: {measured}")
    return Check(
        "file_system",
        f"{found}, {kind}",
        f"{measured}, out of the cache: {in_time(reads.random_p50 * data.files)} an epoch for one reader at a time; to do: {local}",
        f"docker run -v {data.path}:/data …"
        if data.layers
        else f"fastload convert {data.path} LOCAL_FOLDER --to webdataset",
    )


def check_reads(facts: Facts) -> Check | None:
    """Measured reads against measured decoding."""
    if (reads := facts.reads) is None or (data := facts.data) is None:
        return None
    in_order = reads.sequential / reads.mean_size
    measured = (
        f"{reads.at_once:,.0f} files/s in random order, 16 in flight (one: p50 {in_time(reads.random_p50)}, p99 "
        f"{in_time(reads.random_p99)}), {in_bytes(reads.sequential)}/s in the order of names"
    )
    if reads.dropped is False:
        return Check("reads", f"{measured}; they stay in memory, whatever is asked")
    decoding = f"; decoding from memory: {reads.decoded:,.0f} images/s" if reads.decoded else ""
    if not _is_behind(reads):
        return Check("reads", f"{measured}, out of the page cache{decoding}")
    assert reads.decoded is not None
    helps_order = in_order > 1.5 * reads.at_once
    remedy = f"fastload convert {data.path} SHARDS --to webdataset"
    return Check(
        "reads",
        f"{measured}, out of the page cache{decoding}",
        f"an epoch from the storage takes {in_time(data.files / reads.at_once)}, decoding {in_time(data.files / reads.decoded)}"
        + (f"; read in order, as shards are, {in_order:,.0f} files/s" if helps_order else ""),
        remedy if helps_order else f"{remedy} --max-side 512  # or: rsync -a {data.path}/ FASTER_DISK/",
    )


def _is_behind(reads: Reads) -> bool:
    return reads.decoded is not None and reads.at_once < reads.decoded


def check_page_cache(facts: Facts) -> Check | None:
    """Whether a second epoch finds the files in memory."""
    if (data := facts.data) is None or (memory := facts.memory) is None:
        return None
    cached = f", {data.cached:.0%} of it in memory now" if data.cached is not None else ""
    found = f"{'' if data.is_whole else 'more than '}{in_bytes(data.size)} in {data.files:,} files{cached}"
    if data.size <= memory.available:
        return Check("page_cache", f"{found}; it fits into the memory that is available ({in_bytes(memory.available)})")
    left = data.size - memory.available
    reads = facts.reads
    rate = reads.at_once * reads.mean_size if reads and reads.dropped is not False else None
    took = f" in {in_time(left / rate)} at {in_bytes(rate)}/s, as measured" if rate else ""
    limited = memory.limit is not None and data.size < memory.total
    return Check(
        "page_cache",
        f"{found}; {in_bytes(memory.available)} of memory are available",
        f"every epoch reads at least {in_bytes(left)} from the storage again{took}",
        _more_memory(facts, data) if limited else f"fastload convert {data.path} SMALLER --optimize --max-side 512",
    )


def _more_memory(facts: Facts, data: DataSet) -> str:
    gib = -(-data.size // (1 << 30)) + 8
    return {
        "docker": f"docker run --memory={gib}g …",
        "podman": f"podman run --memory={gib}g …",
        "kubernetes": f"kubectl set resources deployment/NAME --limits=memory={gib}Gi",
    }.get(facts.container or "", f"systemctl set-property --runtime UNIT MemoryMax={gib}G")


STORAGE_CHECKS = (check_file_system, check_reads, check_page_cache)
