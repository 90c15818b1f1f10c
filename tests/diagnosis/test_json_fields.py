"""docs/json.md names every field that commands write as JSON, and none that they do not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from made_up import run as made_up
from test_doctor_checks import SOUND, with_

from fastload.diagnosis.examination import examine
from fastload.diagnosis.gpu_now import GpuNow
from fastload.diagnosis.job_watch import JobNow, Snapshot
from fastload.diagnosis.machine_facts import Unreadable
from fastload.diagnosis.machine_now import MachineNow
from fastload.diagnosis.report_json import report_of
from fastload.diagnosis.running_jobs import LoaderNow
from fastload.diagnosis.side_by_side import Comparison
from fastload.diagnosis.trial import Trial
from fastload.diagnosis.tuning import _Contender, _row
from fastload.diagnosis.tuning_report import tuning_json
from fastload.diagnosis.tuning_supervision import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json.md"


def documented(command):
    """Where -> the fields there, as the page's section on a command has them."""
    section = PAGE.read_text("utf-8").split(f"## `fastload {command}`\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| *(?:`([^`]+)`)? *\| (.+) \|$", section, re.MULTILINE)
    return {place: set(re.findall(r"`([^`/]+)`", fields)) for place, fields in rows if fields != "fields"}


def written(value, known, place="", found=None):
    """The same of a value; names of which the page says that there are many are one, and what stands at the top and in each loader
    has one line."""
    found = {} if found is None else found
    place = place.removeprefix("loaders[].") if place.removeprefix("loaders[].") in known else place
    if isinstance(value, list):
        for each in value:
            written(each, known, f"{place}[]", found)
    elif isinstance(value, dict):
        many = {name for name in known.get(place, ()) if name.startswith("{")}
        found.setdefault(place, set()).update(many or value)
        for name, each in value.items():
            inner = f"{place}.{name}".lstrip(".")
            written(each, known, place + "." + next(iter(many)) if many else inner, found)
    return found


LOADER = {
    **dict.fromkeys(documented("profile")["loaders[].what"], 1),
    "dataset": ["Photos"],
    "num_workers": 2,
}
EXPERIMENTS = {
    "items": {"items": 9, "mean_s": 0.1, "median_s": 0.1, "first_mean_s": 0.2, "slowest": [(1.0, "3", "a.jpg")]},
    "storage": {
        **dict.fromkeys(("files", "p50_s", "p99_s", "request_s", "byte_s", "memory_s", "cached_share"), 0.1),
        **dict.fromkeys(("file_bytes", "one_bytes_per_s", "many_bytes_per_s", "sequential_bytes_per_s"), 1e6),
        "place": "/",
    },
    "sweep": {
        "unit": "workers",
        "rates": [[1, 20.0], [2, 39.0]],
        "fit": {"rate": 20.0, "contention": 0.0, "crosstalk": 0.0, "knee": None},
        "native": [[1, 60.0]],
        "stages": {"read": 1.0},
        "sizes": {"encoded": 1.0, "decoded": 2.0, "room": 3.0},
    },
    "without": {"function": "Blur", "workers": 2, "rate": 50.0},
    "memory": {"workers": 2, "rate": 50.0, "files": 64},
    "copies": dict.fromkeys((f"{kind}_bytes_per_s" for kind in ("pinned", "pageable", "pinning")), 1.0),
}


def profiled():
    facts = made_up(
        stages={"decode": [0.1, 0.1, 4], "transform:Blur": [0.08, 0.08, 4]},
        what=LOADER,
        machine={"gpus": [dict.fromkeys(("percent", "memory_percent", "memory_used", "to_device_kb_s"), 1.0)]},
        loader={
            "experiments": {
                name: found if name == "copies" else {**found, "seconds": 1.0} for name, found in EXPERIMENTS.items()
            },
        },
        device=dict.fromkeys(("wait", "work", "idle", "copy", "pageable", "copied"), 0.01),
    )
    fetches = facts.loaders[0].fetches
    del fetches[len(fetches) // 2 :]  # workers stand idle in the second half
    return report_of(facts)


def tuned():
    trial = Trial(**dict.fromkeys(("rate", "steady", "start", "wait", "work", "images", "began", "ended"), 1.0))
    contender = _Contender(None, [trial])
    contender.choice = type("Choice", (), {"name": "as it is", "settings": {"num_workers": 2}, "ours": False})
    row = _row("workers", contender, type("Gain", (), {"median": 0.0, "noise": 0.0}), is_kept=True)
    row = {name: row[name] for name in row if name not in ("kind", "spans")}
    step = {"step": "workers", "rounds": 3, "settings": {"num_workers": 2}, "ours": False, "own": True}
    proposal = dict.fromkeys(("remedy", "images_per_second", "step_seconds", "gain", "line", "rests_on"), 1.0)
    return tuning_json(
        Outcome(
            loader={**LOADER, "cores": 2, "cuda": False, "number": 0},
            rows=[{**row, "gpu_percent": None}],
            steps=[step, {"step": "gpu", "skipped": "no time was left"}],
            unfinished={"num_workers=4": [1.0]},
            proposals=[proposal],
            alone={"rate": 1.0, "work": 1.0, "work_beside_loader": 1.0},
            settings={"num_workers": 2},
        )
    )


def watched():
    loader = LoaderNow(0, "Photos", 4, "native", 0, 2, 0, False, 1, 9, 1, 2, 0, 1.0, 0.1, 0.1, {"read": 1.0})
    job = JobNow(1, 0, "train.py", 0.0, 1, 1.0, 1, (loader,))
    machine = MachineNow(1.0, (0.5,), 0.0, 1.0, 1.0, None, 1, 1, 0.0, 0.0, 0.0, ("vda", 0.1), {"cpu": 0.1})
    return Snapshot((job,), machine, (GpuNow("H100", 0.5, 1, 2, 3.0, 4.0),), (), 1.0).as_dict()


UNREAD = {"unreadable": (Unreadable("GPUs", "no driver"),)}
WRITTEN = {
    "profile": profiled,
    "tune": tuned,
    "doctor": lambda: json.loads(examine(with_(SOUND, software={"simd": "scalar"}, **UNREAD)).as_json()),
    "bench": lambda: Comparison(8, "photos", 4, 2, "native", 2, None, {"torch": [1.0], "fastload": [4.0]}).as_dict(),
    "monitor": watched,
}


@pytest.mark.parametrize("command", WRITTEN)
def test_every_field_has_its_line_and_every_line_its_field(command):
    known = documented(command)
    found = written(json.loads(json.dumps(WRITTEN[command]())), known)
    top = {name: fields - {"error"} for name, fields in found.items() if fields}
    assert top == {name: fields - {"error"} for name, fields in known.items()}
