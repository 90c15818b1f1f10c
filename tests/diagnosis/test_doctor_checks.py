"""What fastload doctor says of machines and installations: each finding from facts made up for it."""

from __future__ import annotations

import dataclasses

import pytest

from fastload.diagnosis import examine
from fastload.diagnosis.machine_facts import (
    Cores,
    DataSet,
    Facts,
    Gpu,
    Memory,
    OpenFiles,
    Reads,
    SharedMemory,
    Software,
)

GIB = 1 << 30
AVX512 = frozenset({"avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512_vnni"})
NVME = DataSet("/data", 1000, 100_000_000, True, "ext4", "/dev/nvme0n1p1", 0, False, 0.5)
FAST = Reads(2e9, 80e-6, 200e-6, 60_000.0, 100_000.0, True, 1600.0)
H100 = Gpu("NVIDIA H100", 0, 16, 16, 63e9, 55e9, 20e9)
PYPI = Software(
    versions={
        "torch": "2.11.0",
        "torchvision": "0.26.0+cu130",
        "pillow": "13.0.0",
        "fastload": "0.2.0",
        "triton": "3.6.0",
        "dali": "2.4.0",
    },
    torchvision_wants="2.11.0",
    wanted={"torch": "2.4", "torchvision": "0.19", "pillow": "10.2"},
    torch_cuda="13.0",
    torchvision_cuda="13.0",
    cuda_works=True,
    driver_cuda="13.1",
    machine="x86_64",
    cpu_flags=AVX512,
    simd="avx512",
    libjpeg="2.1.5",
    pillow_libjpeg="3.2.0",
    nvjpeg=True,
)
SOUND = Facts(
    cores=Cores(16, 16, None, None, 16),
    memory=Memory(64 * GIB, 48 * GIB, None, 0, 0, 0),
    shared_memory=SharedMemory(32 * GIB, 32 * GIB),
    open_files=OpenFiles(1024, 1 << 20),
    container=None,
    nodes={0: frozenset(range(8)), 1: frozenset(range(8, 16))},
    allowed_cores=frozenset(range(16)),
    data=NVME,
    reads=FAST,
    gpus=(H100,),
    software=PYPI,
)


def with_(facts=SOUND, **parts):
    """``part={field: value}`` replaces fields of a part; anything else replaces the part."""
    for name, changed in parts.items():
        part = getattr(facts, name)
        if isinstance(changed, dict) and dataclasses.is_dataclass(part):
            changed = dataclasses.replace(part, **changed)
        facts = dataclasses.replace(facts, **{name: changed})
    return facts


def versions(**of):
    return {"versions": {**PYPI.versions, **of}}


def test_a_sound_machine_has_no_finding_and_everything_is_looked_at():
    examination = examine(SOUND)
    assert examination.findings == []
    assert {check.name for check in examination.checks} == {
        *(
            "cores",
            "quota",
            "threads",
            "memory",
            "swap",
            "shm",
            "open_files",
            "numa",
            "file_system",
            "reads",
            "page_cache",
        ),
        *("versions", "libjpeg", "simd", "cuda", "gpu_libraries", "copies"),
    }


def test_facts_that_are_not_there_are_no_findings():
    assert examine(Facts()).checks == ()


CASES = {
    # name: (facts, the finding, what its text must have, what the command must have)
    "affinity": (
        with_(cores={"allowed": 2, "torch_threads": 2}, allowed_cores=frozenset({0, 8})),
        "cores",
        ["2 of 16 cores", "1,600 images/s"],
        "taskset -c 0-15",
    ),
    "affinity in docker": (
        with_(cores={"allowed": 2, "torch_threads": 2}, container="docker"),
        "cores",
        ["14"],
        "--cpuset-cpus=0-15",
    ),
    "quota": (
        with_(cores={"quota": 2.5, "throttled": 0.4, "torch_threads": 3}, container="docker"),
        "quota",
        ["2.5 of 16", "6.4 threads", "40% of the periods"],
        "docker run --cpus=16",
    ),
    "threads": (with_(cores={"torch_threads": 64}), "threads", ["64 threads", "4.0 threads"], "OMP_NUM_THREADS=16"),
    "little memory": (with_(memory={"available": GIB}), "memory", ["1.0 GiB of 64.0 GiB"], "ps -eo"),
    "limited memory": (
        with_(memory={"available": GIB, "limit": 2 * GIB}, container="docker"),
        "memory",
        ["limit of 2.0 GiB", "610 MiB"],
        "docker run --memory",
    ),
    "swapping": (
        with_(memory={"swap": 8 * GIB, "swap_used": GIB, "swapped_in": 5 << 20}),
        "swap",
        ["5.0 MiB came back"],
        "swapoff",
    ),
    "swapped out": (with_(memory={"swap": 64 * GIB, "swap_used": 60 * GIB}), "swap", ["60.0 GiB"], "ps -eo"),
    "docker's shm": (
        with_(shared_memory=SharedMemory(64 << 20, 64 << 20), container="docker"),
        "shm",
        ["64.0 MiB", "docker container", "2.3 GiB"],
        "docker run --shm-size=5g",
    ),
    "full shm": (
        with_(shared_memory=SharedMemory(32 * GIB, GIB)),
        "shm",
        ["1.0 GiB are free"],
        "mount -o remount,size=5g",
    ),
    "open files": (with_(open_files=OpenFiles(256, 4096)), "open_files", ["256", "512"], "ulimit -n 4096"),
    "open files, hard": (with_(open_files=OpenFiles(256, 256)), "open_files", ["256"], "prlimit"),
    "numa": (
        with_(allowed_cores=frozenset({8, 9}), gpus=(H100, dataclasses.replace(H100, numa_node=1))),
        "numa",
        ["GPU 0 at node 0", "node 1", "1 of 2 GPUs"],
        "numactl --cpunodebind=0",
    ),
    "nfs": (
        with_(data={"file_system": "nfs4", "device": "server:/x"}, reads={"random_p50": 0.012, "random_p99": 0.08}),
        "file_system",
        ["nfs4", "12 ms", "80 ms", "12 s an epoch"],
        "fastload convert /data",
    ),
    "fuse": (
        with_(data={"file_system": "fuse.s3fs"}, reads={"random_p50": 0.05}),
        "file_system",
        ["50 ms"],
        "fastload convert",
    ),
    "overlay": (
        with_(data={"file_system": "overlay", "layers": 7}, reads={"random_p50": 0.004}),
        "file_system",
        ["7 layers"],
        "-v /data",
    ),
    "turning disk": (
        with_(data={"rotational": True}, reads={"random_p50": 0.009}),
        "file_system",
        ["9 ms"],
        "fastload convert",
    ),
    "slow in random order": (
        with_(reads={"at_once": 200.0}),
        "reads",
        ["200 files/s", "1,600 images/s", "5 s", "20,000 files/s"],
        "--to webdataset",
    ),
    "slow in any order": (
        with_(reads={"at_once": 200.0, "sequential": 20e6}),
        "reads",
        ["19.1 MiB/s"],
        "--max-side 512",
    ),
    "too large for memory": (
        with_(data={"size": 148 * GIB}),
        "page_cache",
        ["148 GiB", "100 GiB from the storage", "17.9 s"],
        "--optimize",
    ),
    "too large for the limit": (
        with_(memory={"limit": 16 * GIB, "available": 10 * GIB}, data={"size": 20 * GIB}, container="docker"),
        "page_cache",
        ["10.0 GiB from the storage"],
        "docker run --memory=28g",
    ),
    "old pillow": (
        with_(software=versions(pillow="9.5.0")),
        "versions",
        ["pillow 9.5.0 (at least 10.2)"],
        "'pillow>=10.2'",
    ),
    "another torch": (
        with_(software=versions(torch="2.10.0+cu130")),
        "versions",
        ["built for torch 2.11.0"],
        "torch==2.11.0 torchvision==0.26.0+cu130",
    ),
    "torchvision for the CPU": (
        with_(software={"torchvision_cuda": None}),
        "versions",
        ["torchvision for the CPU"],
        "--force-reinstall",
    ),
    "another libjpeg": (with_(software={"pillow_libjpeg": None}), "libjpeg", ["another libjpeg"], "pip install"),
    "avx2 is hidden": (
        with_(software={"cpu_flags": frozenset({"sse4_2"}), "simd": "scalar"}),
        "simd",
        ["1.9 times"],
        "-cpu host",
    ),
    "built without": (with_(software={"simd": "avx2"}), "simd", ["avx2 code", "AVX-512"], "--no-binary"),
    "torch for the CPU": (
        with_(software={"torch_cuda": None, "torchvision_cuda": None, "cuda_works": False}),
        "cuda",
        ["for the CPU alone", "1 GPUs"],
        "pip install",
    ),
    "old driver": (with_(software={"cuda_works": False, "driver_cuda": "12.4"}), "cuda", ["up to 12.4"], "cu124"),
    "hidden GPU": (with_(software={"cuda_works": False}), "cuda", ["is_available() is False"], "CUDA_VISIBLE_DEVICES"),
    "no DALI": (
        with_(software=versions(dali=None)),
        "gpu_libraries",
        ["DALI missing", "26,695"],
        "fastload-torch[dali]",
    ),
    "no Triton": (with_(software=versions(triton=None)), "gpu_libraries", ["Triton missing"], "pip install triton"),
    "few lanes": (with_(gpus=(dataclasses.replace(H100, lanes=4),)), "copies", ["4 of 16 lanes", "25%"], "lspci"),
    "slow copies": (
        with_(gpus=(dataclasses.replace(H100, pinned=6.3e9),)),
        "copies",
        ["10% of what its link"],
        "numactl",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_finding_has_its_number_its_cost_and_its_command(case):
    facts, name, words, mend = CASES[case]
    (finding,) = examine(facts).findings
    assert finding.name == name
    text = f"{finding.found}; {finding.why}"
    assert [word for word in words if word not in text] == [], text
    assert mend in finding.mend
    assert any(letter.isdigit() for letter in text)


# What a rule without a measurement would call wrong.
SOUND_TOO = {
    "a virtual disk that is called turning": with_(data={"rotational": True}),
    "a network that is fast enough": with_(data={"file_system": "virtiofs"}),
    "a container's layers on flash": with_(data={"file_system": "overlay", "layers": 3}),
    "files that stay in memory": with_(data={"file_system": "tmpfs"}, reads={"dropped": False, "at_once": 900.0}),
    "a network that was not measured": with_(data={"file_system": "nfs4"}, reads=None),
    "some swap": with_(memory={"swap": 8 * GIB, "swap_used": 200 << 20}),
    "a quota of all cores": with_(cores={"quota": 16.0}),
    "no AVX-512": with_(software={"simd": "avx2", "cpu_flags": frozenset({"avx2"})}),
    "ARM": with_(software={"simd": "scalar", "machine": "aarch64", "cpu_flags": frozenset({"asimd"})}),
    "no GPU": with_(gpus=(), software={"cuda_works": False, "driver_cuda": None, **versions(dali=None, triton=None)}),
    "a minor version of CUDA": with_(software={"torchvision_cuda": "13.2"}),
    "files that are no images": with_(reads={"decoded": None, "at_once": 10.0}),
}


@pytest.mark.parametrize("case", SOUND_TOO)
def test_what_costs_nothing_is_no_finding(case):
    assert examine(SOUND_TOO[case]).findings == []
