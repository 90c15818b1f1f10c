"""What is known about a machine and an installation; plain values, which checks are functions of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cores:
    visible: int  # of the machine
    allowed: int  # by this process's affinity
    quota: float | None  # of its control groups, in cores; None: no limit
    throttled: float | None  # share of the periods so far in which the quota was used up
    torch_threads: int | None  # that torch starts for one operation


@dataclass(frozen=True)
class Memory:
    """In bytes."""

    total: int
    available: int  # without swapping; of the limit, if that is less
    limit: int | None  # of the control groups
    swap: int
    swap_used: int
    swapped_in: int  # while doctor looked


@dataclass(frozen=True)
class SharedMemory:
    """``/dev/shm``, in bytes."""

    size: int
    free: int


@dataclass(frozen=True)
class OpenFiles:
    soft: int
    hard: int


@dataclass(frozen=True)
class DataSet:
    path: str
    files: int
    size: int  # bytes; of many files estimated from 2,000 of them
    is_whole: bool  # False: there are more files than could be counted in the time
    file_system: str
    device: str
    layers: int  # of an overlay, else 0
    rotational: bool | None  # as the kernel says; None: there is no such device
    cached: float | None  # share of the bytes of a sample that were in the page cache before doctor read them


@dataclass(frozen=True)
class Reads:
    """Of the data set's own files, out of the page cache, in its own sizes and order."""

    sequential: float  # bytes a second
    random_p50: float  # seconds to open and read one file
    random_p99: float
    at_once: float  # files a second, 16 in flight
    mean_size: float  # bytes a file
    dropped: (
        bool | None
    )  # whether the files had left the page cache before they were read; None: the kernel does not tell
    decoded: float | None  # images a second that the usable cores make of files in the page cache; None: not images


@dataclass(frozen=True)
class Gpu:
    name: str
    numa_node: int | None
    lanes: int | None  # of PCI Express, in use
    lanes_most: int | None
    link: float | None  # bytes a second, of the lanes at the generation that card and slot can do
    pinned: float | None = None  # bytes a second from the host, measured
    pageable: float | None = None


@dataclass(frozen=True)
class Software:
    versions: dict[str, str | None]  # of distributions; None: not installed
    torchvision_wants: str | None  # version of torch
    wanted: dict[str, str]  # lowest versions that fastload is for
    torch_cuda: str | None  # that torch is built for; None: for the CPU alone
    torchvision_cuda: str | None
    cuda_works: bool
    driver_cuda: str | None  # the newest that the driver serves
    machine: str  # as x86_64
    cpu_flags: frozenset[str]
    simd: str  # variant that the core runs
    libjpeg: str  # of the core
    pillow_libjpeg: str | None  # libjpeg-turbo of Pillow; None: another libjpeg
    nvjpeg: bool


@dataclass(frozen=True)
class Unreadable:
    what: str
    why: str


@dataclass(frozen=True)
class Facts:
    """None: not looked at, or not readable here, and then ``unreadable`` names it."""

    cores: Cores | None = None
    memory: Memory | None = None
    shared_memory: SharedMemory | None = None
    open_files: OpenFiles | None = None
    container: str | None = None  # "docker", "podman", "kubernetes", …
    nodes: dict[int, frozenset[int]] = field(default_factory=dict)  # NUMA node -> its cores
    allowed_cores: frozenset[int] = frozenset()
    data: DataSet | None = None
    reads: Reads | None = None
    gpus: tuple[Gpu, ...] = ()
    software: Software | None = None
    unreadable: tuple[Unreadable, ...] = ()
