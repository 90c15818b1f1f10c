"""``fastload tune``: a setting is kept where it gains more than the noise; a script that is tuned saves nothing; Ctrl-C leaves what
was found."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
import time

import pytest
import torch
from click.testing import CliRunner
from scripts import with_items
from terminal import at_a_terminal, press_ctrl_c
from torch.utils.data import DataLoader, IterableDataset

import fastload
from children import LIMIT, run
from fastload.commands import main
from fastload.diagnosis import tuning
from fastload.diagnosis.contest import gain
from fastload.diagnosis.trial import Trial, try_out
from fastload.diagnosis.trial_loaders import SameBatch, as_it_is, made_like
from fastload.diagnosis.tuning import Surroundings, Tuning, worker_counts
from fastload.diagnosis.tuning_loop import TuningLoop, surroundings
from fastload.diagnosis.tuning_supervision import read_outcome
from fastload.gpu import kernel_program
from waiting import until


class Items:
    def __init__(self, length, seconds=0.0):
        self.length, self.seconds = length, seconds

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return torch.full((2,), index)


def test_a_gain_is_more_than_the_noise():
    assert gain([100, 100, 100], [120, 121, 122]).is_one and gain([100, 100, 100], [200, 400, 300]).is_one
    assert not gain([100, 100, 100], [100.5, 100.5, 100.5]).is_one
    assert not gain([100, 150, 80], [104, 120, 100]).is_one and not gain([100, 100], [80, 80]).is_one
    assert not gain([100], [105]).is_one and not gain([], []).is_one
    assert gain([100, 100, 100], [200, 200, 200]).median == pytest.approx(1.0)


def test_numbers_of_workers_reach_the_cores():
    assert [worker_counts(cores) for cores in (1, 2, 4, 6, 8, 16)] == [
        [1],
        [1, 2],
        [1, 2, 4],
        [1, 2, 4, 6],
        [4, 8],
        [4, 8, 16],
    ]


def tuned(loader, rate_of, monkeypatch, **surroundings):
    """The lines of a tuning in which a setting's rate is what ``rate_of`` says; no loader is iterated over."""
    rounds = itertools.count()

    def known(make, seconds):
        made = make()
        yield "batch"
        rate = 1.0 if isinstance(made, SameBatch) else rate_of(made) * (1 + 0.003 * (next(rounds) % 3))
        return Trial(rate, rate, 0.0, 0.01, 0.01, 8.0, 0.0, 0.0)

    monkeypatch.setattr(tuning, "try_out", known)
    lines = []
    here = Surroundings(**{"cores": 8, **surroundings})
    batches = [*Tuning(loader, here, time.monotonic() + LIMIT, lines.append).batches()]
    assert set(batches) == {"batch"}
    return lines


def kept(lines):
    return [line for line in lines if line["kind"] == "step"][-1]["settings"]


def test_the_fewest_workers_that_nobody_beats_are_kept(monkeypatch):
    loader = DataLoader(Items(64), 8, shuffle=True)
    assert kept(tuned(loader, lambda made: 100.0 + 50 * min(made.num_workers, 4), monkeypatch)) == {"num_workers": 4}
    assert kept(tuned(loader, lambda made: 100.0 + 50 * made.num_workers, monkeypatch)) == {"num_workers": 8}
    lines = tuned(loader, lambda made: 100.0, monkeypatch)
    assert kept(lines) == {"num_workers": 0} and lines[-1] == {"kind": "over"}
    alone = next(line for line in lines if line["kind"] == "alone")
    assert alone["work"] == alone["work_beside_loader"] == 0.01


def test_each_step_builds_on_the_one_before(monkeypatch):
    def rate(made):
        return 100.0 + 50 * min(made.num_workers, 4) + 30 * (made.prefetch_factor == 4) + 20 * made.persistent_workers

    lines = tuned(DataLoader(Items(64), 8, shuffle=True, num_workers=2), rate, monkeypatch)
    assert kept(lines) == {"num_workers": 4, "prefetch_factor": 4, "persistent_workers": True}
    check = next(line for line in lines if line["kind"] == "check")
    assert check["gain"] == pytest.approx(350 / 200 - 1, abs=0.02) and not check["own_is_best"]
    rows = [line for line in lines if line["kind"] == "row"]
    assert [row["name"] for row in rows if row["step"] == "workers"] == [
        "as it is",
        "num_workers=0",
        "num_workers=4",
        "num_workers=8",
    ]


def test_a_setting_that_fails_is_named_and_the_others_go_on(monkeypatch):
    def rate(made):
        if made.num_workers == 8:
            raise RuntimeError("no space left on device")
        return 100.0 + made.num_workers

    lines = tuned(DataLoader(Items(64), 8, shuffle=True), rate, monkeypatch)
    assert kept(lines)["num_workers"] == 4
    failed = [line["error"] for line in lines if line["kind"] == "row" and line["error"]]
    assert failed == ["RuntimeError: no space left on device"]


def test_native_threads_and_the_gpu_are_tried_where_they_are(monkeypatch, tmp_path):
    import torchvision.transforms as T
    from PIL import Image

    (tmp_path / "a").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "a" / "0.jpg")
    photos = fastload.ImageFolder(tmp_path, T.Compose([T.CenterCrop(16), T.ToTensor()]))
    loader = DataLoader(photos, 8, shuffle=True)

    def rate(made):
        return 100.0 + (100 * (made.threads == 8) if isinstance(made, fastload.DataLoader) else 0.0)

    lines = tuned(loader, rate, monkeypatch)
    assert (
        kept(lines) == {"num_workers": 1, "threads": 8}
        and [line for line in lines if line["kind"] == "step"][-1]["ours"]
    )
    lines = tuned(loader, lambda made: 100.0 + 50 * made.pin_memory, monkeypatch, cuda=True, no_decoder="")
    assert kept(lines)["pin_memory"]
    assert {line["step"] for line in lines if line["kind"] == "row"} == {"workers", "pin_memory", "threads", "gpu"}
    lines = tuned(loader, lambda made: 100.0, monkeypatch, cuda=True, no_decoder="DALI is not installed")
    assert [line["skipped"] for line in lines if line.get("step") == "gpu"] == ["DALI is not installed"]


@pytest.mark.parametrize(("faster", "settings"), [("gpu", "gpu"), ("hybrid", "hybrid"), ("cpu", None)])
def test_the_decoder_on_the_gpu_is_kept_where_it_gains(monkeypatch, faster, settings):
    monkeypatch.setattr(tuning, "can_be_native", lambda loader: True)
    monkeypatch.setattr(tuning, "made_like", lambda loader, choice: choice)

    def rate(choice):
        return 200.0 if choice.settings.get("decode", "cpu") == faster else 100.0

    lines = tuned(DataLoader(Items(8), 4, shuffle=True), rate, monkeypatch, cuda=True, no_decoder="")
    found = kept(lines)
    assert found.get("decode") == settings and found.get("device") == ("cuda" if settings else None)


def test_a_decoder_that_fails_is_told_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(tuning, "can_be_native", lambda loader: True)
    monkeypatch.setattr(tuning, "made_like", lambda loader, choice: choice)

    def rate(choice):
        if choice.settings.get("decode") == "gpu":
            raise RuntimeError("CUDA out of memory")
        return 100.0

    lines = tuned(DataLoader(Items(8), 4, shuffle=True), rate, monkeypatch, cuda=True, no_decoder="")
    row = next(line for line in lines if line["kind"] == "row" and line["error"])
    assert row["step"] == "gpu" and row["error"] == "RuntimeError: CUDA out of memory" and lines[-1] == {"kind": "over"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_trial_gives_the_loaders_batches_and_measures_them(workers):
    own = DataLoader(Items(12, 0.01), 4, num_workers=workers)
    took = []
    trial = drain(try_out(lambda: made_like(own, as_it_is(own).also("", num_workers=workers)), 0.2), took)
    assert torch.equal(torch.stack(took[:3]), torch.stack([*DataLoader(Items(12), 4)]))
    assert trial.images / (trial.wait + trial.work) == pytest.approx(trial.rate) and trial.wait >= 0
    assert trial.images == 4 and 0 < trial.rate < 100 * max(1, workers) and trial.start >= 0.04


def test_the_same_batch_again_is_the_step_alone():
    took = []

    def train(trial):
        while True:
            try:
                took.append(next(trial))
                time.sleep(0.01)
            except StopIteration as over:
                return over.value

    trial = train(try_out(lambda: SameBatch([torch.ones(2), "names"]), 0.1))
    assert all(batch is took[0] for batch in took) and trial.work >= 0.01 > trial.wait and trial.images == 2


def test_a_trial_of_a_long_epoch_ends_within_it():
    class Endless(IterableDataset):
        def __iter__(self):
            return itertools.count()

    took = []
    drain(try_out(lambda: DataLoader(Endless(), 4), 0.1), took)
    drain(try_out(lambda: DataLoader(Items(10**6), 4), 0.1), took)
    assert 6 <= len(took) < 10**5


def drain(trial, took):
    while True:
        try:
            took.append(next(trial))
        except StopIteration as over:
            return over.value


def test_a_loader_that_does_not_shuffle_is_tuned_when_no_other_comes_and_its_own_batches_end(tmp_path, monkeypatch):
    ended = []

    def own_batches():
        try:
            yield from range(100)
        finally:
            ended.append(True)

    settings = {"until": time.monotonic() - 1, "loader": None, "supervisor": os.getpid()}  # so its time to wait is over
    loop = TuningLoop(str(tmp_path), settings)
    loader = DataLoader(Items(4))
    monkeypatch.setattr(loop, "_begin", lambda it: setattr(loop, "_tuned", it))
    monkeypatch.setattr(loop, "_next", lambda: "tuned")
    batches = loop._for_now(own_batches(), loader)
    assert next(batches) == 0 and not ended
    assert [next(batches), next(batches)] == ["tuned", "tuned"] and loop._tuned is loader
    assert ended  # its workers would stand beside those under trial


def test_a_gpu_without_a_package_of_nvidias_is_no_decoder(monkeypatch):
    def find_spec(name, package=None):
        raise ModuleNotFoundError("No module named 'nvidia'")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr("fastload.gpu.kernel_program._nvrtc_files", kernel_program._nvrtc_files.__wrapped__)
    monkeypatch.setattr("fastload.gpu.kernel_program.glob.glob", lambda pattern: [])
    monkeypatch.setattr("fastload.gpu.kernel_program._loads", lambda name: False)
    here = surroundings()
    assert here.cuda and "NVRTC" in here.no_decoder and here.cores >= 1


TRAIN = """
print("training")
for batch in DataLoader(Items(), batch_size=4):  # a validation before it
    pass
count = 0
for batch in DataLoader(Items(), batch_size=8, shuffle=True):
    count += 1
    time.sleep(0.02)
    if count == 40:
        open(sys.argv[1], "w").close()
open(sys.argv[1] + "-saved", "w").close()
"""
TRAIN = with_items(64, 0.004, TRAIN)


def command(*arguments):
    return [sys.executable, "-m", "fastload", "tune", *map(str, arguments)]


def test_an_interrupt_leaves_what_was_found_and_the_script_saves_nothing(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    with at_a_terminal(command("--budget", 90, "--json", "train.py", "begun"), tmp_path) as process:
        until((tmp_path / "begun").exists, "the 40th step, of another epoch than the script's")
        press_ctrl_c(process)
        out, errors = process.communicate(timeout=LIMIT)
    found = json.loads(out)
    assert found["schema"] == 1 and found["interrupted"], errors
    assert found["loader"]["batch_size"] == 8 and found["loader"]["number"] == 1
    assert (found["settings"] is not None) == (process.returncode == 0) == (tmp_path / "fastload.toml").exists()
    assert found["rows"] or found["unfinished"]
    assert not (tmp_path / "begun-saved").exists()


def test_what_cannot_be_tuned_is_told(tmp_path):
    (tmp_path / "train.py").write_text("print('so far'); raise KeyError('lr')\n")
    ended = run(*command("train.py"), cwd=tmp_path)
    assert ended.returncode == 1 and "ended with status 1" in ended.stdout and "KeyError: 'lr'" in ended.stdout
    (tmp_path / "fastload.toml").write_text("[tool]\n")
    ended = run(*command("train.py"), cwd=tmp_path)
    assert ended.returncode == 2 and "'tool' is not known" in ended.stderr
    assert run(*command(), cwd=tmp_path).returncode == 2


def test_before_the_first_step_it_is_said_what_the_script_will_write(tmp_path):
    (tmp_path / "train.py").write_text("print('so far')\n")
    ended = run(*command("train.py"), cwd=tmp_path)
    assert ended.returncode == 1 and ended.stdout.strip().splitlines()[0] == "No DataLoader was iterated over."
    assert "--loader" not in ended.stdout and "--budget" not in ended.stdout
    said = ended.stderr.splitlines()[0]
    assert "train.py runs as it is" in said and "every so many steps it writes" in said and "is killed" in said


@pytest.mark.parametrize("folder", ["none", "class"])
def test_a_folder_without_photos_is_told(tmp_path, folder):
    (tmp_path / folder / "class").mkdir(parents=True) if folder == "class" else (tmp_path / folder).mkdir()
    ended = CliRunner().invoke(
        main, ["tune", "--data", str(tmp_path / folder), "--settings", str(tmp_path / "it.toml")]
    )
    assert ended.exit_code == 1 and ended.output.startswith("Error: ") and str(tmp_path / folder) in ended.output
    assert "--budget" not in ended.output


def test_loaders_without_a_batch_have_no_best_settings(tmp_path):
    lines = [
        {"kind": "row", "step": "workers", "name": "as it is", "error": "ValueError: no batch", "pid": 1},
        {"kind": "step", "step": "workers", "settings": {}, "ours": False, "own": True, "pid": 1},
    ]
    (tmp_path / "tuning-1.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = read_outcome(tmp_path)
    assert found.settings is None and "no batch" in found.problem
