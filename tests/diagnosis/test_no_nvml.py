"""Machines without a GPU say nothing of it; those with GPUs of which NVML does not tell say why, on every page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types

import pytest

from fastload.diagnosis import examination, gpu_now, machine_sampler
from fastload.diagnosis.gpu_now import Gpus
from fastload.machine import processes_below
from waiting import tree, until


class NVMLError(Exception):
    pass


def library(broken_at):
    """NVML of a machine with one GPU; the call ``broken_at`` fails."""

    def call(name, answer):
        def answered(*_):
            if name == broken_at:
                raise NVMLError("Driver/library version mismatch")
            return answer

        return answered

    figures = types.SimpleNamespace(gpu=50, memory=10, used=1, total=2)
    answers = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": 0,
        "nvmlDeviceGetName": "H100",
        "nvmlDeviceGetMemoryInfo": figures,
        "nvmlDeviceGetUtilizationRates": figures,
        "nvmlDeviceGetPcieThroughput": 3,
    }
    module = types.ModuleType("pynvml")
    vars(module).update({name: call(name, answer) for name, answer in answers.items()})
    module.NVMLError, module.NVML_PCIE_UTIL_RX_BYTES, module.NVML_PCIE_UTIL_TX_BYTES = NVMLError, 0, 1
    return module


@pytest.fixture
def machine(monkeypatch):
    def make(nvml, gpus=True):
        monkeypatch.setitem(sys.modules, "pynvml", nvml)  # None: not installed
        for module in (machine_sampler, gpu_now, examination):
            monkeypatch.setattr(module, "has_gpu", lambda: gpus)

    return make


@pytest.mark.parametrize(
    ("nvml", "why"),
    [(library("nvmlInit"), "mismatch"), (library("nvmlDeviceGetCount"), "mismatch"), (None, "fastload-torch[profile]")],
)
def test_why_gpus_are_not_told(machine, nvml, why):
    machine(nvml)
    pytest.importorskip("psutil")
    (missing,) = machine_sampler.Machine(1).missing
    assert missing.startswith("GPUs (") and why in missing
    with Gpus() as gpus:
        assert gpus.now() == () and why in gpus.why_not
    (unread,) = [one for one in examination.gather(None, 0.2).unreadable if "GPU" in one.what]
    assert why in unread.why


def test_a_card_that_is_lost_meanwhile(machine):
    nvml = library(None)
    machine(nvml)
    with Gpus() as gpus:
        assert [gpu.busy for gpu in gpus.now()] == [0.5] and not gpus.why_not
        nvml.nvmlDeviceGetUtilizationRates = library("nvmlDeviceGetUtilizationRates").nvmlDeviceGetUtilizationRates
        assert gpus.now() == () and "mismatch" in gpus.why_not


def test_without_a_gpu_nothing_is_missing(machine):
    machine(library("nvmlInit"), gpus=False)
    pytest.importorskip("psutil")
    assert not machine_sampler.Machine(1).missing
    with Gpus() as gpus:
        assert gpus.now() == () and not gpus.why_not
    facts = examination.gather(None, 0.2)
    assert not [one for one in facts.unreadable if "GPU" in one.what]
    found = {check.name: check.found for check in examination.examine(facts).checks}
    assert found["cuda"] == "there is no GPU of NVIDIA's, or no driver"


def test_a_process_that_has_ended_takes_nobodys_cores_with_it():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs an affinity")
    one = {min(os.sched_getaffinity(0))}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        os.sched_setaffinity(process.pid, one)
        watched = machine_sampler.Machine(process.pid)
        assert watched.line()["usable_cores"] == 1
    assert watched.line()["usable_cores"] == 1


def test_a_tree_of_processes_is_what_their_parents_say():
    script = "sleep 60 & sh -c 'sleep 60 & sleep 60 & wait' & echo begun; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout.readline() == b"begun\n"
            until(lambda: len(tree(process.pid)) == 5, "all of them")
            assert sorted([process.pid, *processes_below(process.pid)]) == sorted(tree(process.pid))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
