"""What the GPU does, step by step: events of a stream that is made up, on a machine without one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from fastload.diagnosis import device_clock
from fastload.diagnosis.device_clock import DeviceClock
from fastload.diagnosis.read_facts import read_facts
from fastload.diagnosis.run_folder import Lines


class Event:
    """At a moment of the stream; done where the stream has come so far."""

    def __init__(self, stream):
        self.stream, self.at = stream, stream.at

    def query(self):
        return self.at <= self.stream.done

    def elapsed_time(self, later):
        return (later.at - self.at) * 1e3


@pytest.fixture
def stream(monkeypatch):
    made = SimpleNamespace(at=0.0, done=0.0, name="main")
    monkeypatch.setattr(device_clock, "_event", lambda: Event(made))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: made.name)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    return made


def lines(folder):
    return [json.loads(line) for path in folder.glob("process-*") for line in path.read_text().splitlines()]


def test_each_step_is_told_once_it_is_done_and_an_epochs_end_is_none(tmp_path, stream):
    written = Lines(str(tmp_path), "process")
    clock = DeviceClock(written)
    for step in range(3):  # of two epochs, the second of which has one
        clock.asked(0, float(step))
        stream.at += 0.5
        clock.given(0)
        stream.at += 2.0
        if step == 1:
            clock.asked(0, 10.0)  # there is none
            stream.at += 7.0
    clock.finish()
    written.flush()
    assert not lines(tmp_path)  # the stream has done nothing yet, and nobody waits for it
    stream.done = 100.0
    clock.asked(0, 11.0)
    written.flush()
    told = lines(tmp_path)
    assert [(line["at"], line["wait"], line["work"]) for line in told] == [(k, 0.5, 2.0) for k in (0.0, 1.0, 2.0)]


def test_copies_count_where_computing_waits_for_them(tmp_path, stream):
    written = Lines(str(tmp_path), "process")
    clock = DeviceClock(written)
    stream.done = 100.0
    clock.asked(0, 0.0)
    clock.given(0)

    class OnDevice(torch.Tensor):
        is_cuda = True

    def moved(tensor, *_):
        stream.at += 1.0
        return torch.ones(4).as_subclass(OnDevice)

    stream.at += 0.5
    copying = device_clock._Copying(moved, clock._copied)
    copying(torch.ones(4))
    stream.name = "another"
    copying(torch.ones(4))
    stream.name = "main"
    into = device_clock._CopyingInto(moved, clock._copied)
    into(torch.ones(4).as_subclass(OnDevice), torch.ones(4))
    into(torch.ones(4), torch.ones(4))  # stays on the host
    clock.asked(0, 1.0)
    written.flush()
    (told,) = lines(tmp_path)
    assert (told["copy"], told["pageable"], told["copied"], told["idle"], told["work"]) == (2.0, 2.0, 32, 0.5, 4.5)


def test_steps_have_what_the_stream_did_in_them(tmp_path):
    step = {"kind": "step", "loader": 0, "epoch": 0, "cpu": 0, "sampler": 0, "images": 4, "bytes": 8, "sync": 0.0}
    device = {
        "kind": "device",
        "loader": 0,
        "wait": 0.1,
        "work": 0.9,
        "idle": 0.0,
        "copy": 0.2,
        "pageable": 0.0,
        "copied": 8,
    }
    rows = [
        {**step, "at": 1.0, "wait": 0.8},
        {**step, "at": 2.0, "wait": 0.8},
        {**device, "at": 1.0},
        {**step, "at": 3.0, "wait": 0.8},
    ]
    (tmp_path / "process-7.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second, last = read_facts(tmp_path).loaders[0].steps
    assert (first.waited, first.worked) == (0.1, 0.9)
    assert (second.waited, second.worked) == pytest.approx((0.8, 0.2)) and second.device is None
    assert last.worked == 0.0 and last.work is None
