"""What ``fastload doctor`` does: gathers the facts, whatever part of them is not to be had, and checks them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastload.diagnosis.decoding_probe import probe_decoding
from fastload.diagnosis.doctor_check import Check
from fastload.diagnosis.machine_checks import MACHINE_CHECKS
from fastload.diagnosis.machine_facts import Facts, Gpu, Unreadable
from fastload.diagnosis.read_gpus import driver_cuda, read_gpus, with_copies
from fastload.diagnosis.read_machine import (
    allowed_cores,
    read_container,
    read_cores,
    read_memory,
    read_nodes,
    read_open_files,
    read_shared_memory,
)
from fastload.diagnosis.read_software import read_software
from fastload.diagnosis.read_storage import list_files, read_data_set
from fastload.diagnosis.software_checks import SOFTWARE_CHECKS
from fastload.diagnosis.storage_checks import STORAGE_CHECKS
from fastload.diagnosis.storage_probe import probe_reads
from fastload.machine import has_gpu

SCHEMA = 1
_T = TypeVar("_T")


class _Reading:
    """Reads one part after the other; what fails is named, and the rest goes on."""

    def __init__(self) -> None:
        self.failed: list[Unreadable] = []

    def part(self, what: str, read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except Exception as error:  # whatever a driver, a kernel or a library has to say
            self.failed.append(Unreadable(what, str(error) or type(error).__name__))
            return otherwise


def gather(data: str | None, seconds: float) -> Facts:
    """All facts; those that are measured take about ``seconds`` in all."""
    reading = _Reading()
    part = reading.part
    before = part("memory", read_memory, None)
    facts = Facts(
        cores=part("cores", read_cores, None),
        shared_memory=part("/dev/shm", read_shared_memory, None),
        open_files=part("limit of open files", read_open_files, None),
        container=part("container", read_container, None),
        nodes=part("NUMA nodes", read_nodes, {}),
        allowed_cores=allowed_cores(),
        memory=before,
    )
    if data is not None:
        nothing: tuple[list[str], bool] = ([], True)
        files, is_whole = part("files of the data set", lambda: list_files(data, seconds), nothing)
        if files:
            known = part("storage of the data set", lambda: read_data_set(data, files, is_whole), None)
            decoded = part("decoding of the data set", lambda: probe_decoding(files, seconds / 3), None)
            reads = part("reads of the data set", lambda: probe_reads(files, seconds / 2, decoded), None)
            facts = dataclasses.replace(facts, data=known, reads=reads)
        elif not reading.failed or reading.failed[-1].what != "files of the data set":
            reading.failed.append(Unreadable("files of the data set", f"there are none in {data}"))
    driver = None
    if has_gpu():
        none: tuple[Gpu, ...] = ()
        gpus = part("GPUs", read_gpus, none)
        if gpus:  # NVML answers
            driver = part("driver of the GPUs", driver_cuda, None)
            gpus = part("copies to the GPUs", lambda: with_copies(gpus, seconds / 3), gpus)
        facts = dataclasses.replace(facts, gpus=gpus)
    software = part("installation", lambda: read_software(driver), None)
    after = part("memory", read_memory, None) if before is not None else None
    if before is not None and after is not None:
        before = dataclasses.replace(before, swapped_in=after.swapped_in - before.swapped_in)
    return dataclasses.replace(facts, memory=before, software=software, unreadable=tuple(reading.failed))


@dataclass(frozen=True)
class Examination:
    checks: tuple[Check, ...]
    facts: Facts

    @property
    def findings(self) -> list[Check]:
        return [check for check in self.checks if check.is_finding]

    def as_json(self) -> str:
        """``{"schema": 1, "findings": [{"name", "found", "why", "mend"}], "checks": [{"name", "found"}], "unreadable": [{"what",
        "why"}], "facts": {…}}``; amounts in bytes, bytes a second and seconds."""
        whole = {
            "schema": SCHEMA,
            "findings": [dataclasses.asdict(check) for check in self.findings],
            "checks": [{"name": check.name, "found": check.found} for check in self.checks if not check.is_finding],
            "unreadable": [dataclasses.asdict(one) for one in self.facts.unreadable],
            "facts": _plain(
                {f.name: getattr(self.facts, f.name) for f in dataclasses.fields(self.facts) if f.name != "unreadable"}
            ),
        }
        return json.dumps(whole, indent=2)


def examine(facts: Facts) -> Examination:
    """All checks that these facts allow."""
    made = (check(facts) for check in (*MACHINE_CHECKS, *STORAGE_CHECKS, *SOFTWARE_CHECKS))
    return Examination(tuple(check for check in made if check is not None), facts)


def _plain(value: Any) -> Any:
    """As JSON has it: sets are lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
