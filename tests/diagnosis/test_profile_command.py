"""``fastload profile``: the script's status and output stay its own, whatever way it ends there is a report, and the page draws."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import types
from pathlib import Path

import pytest
from made_up import run as made_up
from scripts import with_items
from terminal import at_a_terminal, press_ctrl_c

from children import LIMIT, environment, run
from fastload.diagnosis import recording
from fastload.diagnosis.report_html import html_of
from fastload.diagnosis.report_json import report_of
from waiting import until

pytest.importorskip("psutil")

TRAIN = """
def main():
    print(sys.argv[1:], os.environ.get("FASTLOAD_PROFILE"))
    loader = DataLoader(Items(), batch_size=4, num_workers=1, multiprocessing_context=sys.argv[1])
    print(sum(batch.sum().item() for batch in loader))
    print("late", file=sys.stderr)
    sys.exit(7)

if __name__ == "__main__":
    main()
"""
TRAIN = with_items(40, 0.1, TRAIN)
ENDLESS = """
import itertools, sys, time
from torch.utils.data import DataLoader
for step, batch in enumerate(DataLoader(range(10**6))):
    time.sleep(0.01)
    if step == 20:
        open(sys.argv[1], "w").close()
"""


def command(*arguments):
    return [sys.executable, "-m", "fastload", "profile", *map(str, arguments)]


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_script_is_what_it_was_and_is_reported(tmp_path, start):
    (tmp_path / "train.py").write_text(TRAIN)
    files = ["--json", tmp_path / "it.json", "--html", tmp_path / "it.html"]
    ended = run(*command("--experiments", 2, *files, tmp_path / "train.py", start, "--lr", "1"), cwd=tmp_path)
    assert ended.returncode == 7, ended.stderr
    assert ended.stdout == f"['{start}', '--lr', '1'] None\n780\n"
    assert ended.stderr.startswith("late\n") and "fastload profile: PYTHON · Items.__getitem__" in ended.stderr
    report = json.loads((tmp_path / "it.json").read_text())
    assert report["schema"] == 1 and report["status"] == 7 and report["steps"]["count"] == 10
    assert report["verdict"]["what"] == "Items.__getitem__"
    assert report["loaders"][0]["experiments"]["items"]["median_s"] >= 0.1
    assert json.dumps(report)[:40] in (tmp_path / "it.html").read_text()
    assert sorted(os.listdir(tmp_path)) == ["it.html", "it.json", "train.py"]


def test_a_script_without_a_loader_is_told(tmp_path):
    (tmp_path / "train.py").write_text("raise KeyError('lr')\n")
    ended = run(*command(tmp_path / "train.py"))
    assert ended.returncode == 1
    assert "KeyError: 'lr'\n" in ended.stderr and "No DataLoader was iterated over" in ended.stderr


def test_an_interrupt_leaves_a_report(tmp_path):
    (tmp_path / "train.py").write_text(ENDLESS)
    with at_a_terminal(command("--json", "it.json", "train.py", "begun"), cwd=tmp_path) as process:
        until((tmp_path / "begun").exists, "the twentieth step")
        press_ctrl_c(process)
        _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in errors
    assert json.loads((tmp_path / "it.json").read_text())["steps"]["count"] >= 20
    assert "experiments" not in errors  # who presses Ctrl-C wants an end


def test_measuring_ends_and_the_script_goes_on(tmp_path):
    wait = f"while not os.path.exists({str(tmp_path / 'it.json')!r}): time.sleep(0.01)"  # for the report
    (tmp_path / "train.py").write_text(TRAIN.replace('    print("late"', f'    {wait}\n    print("late"'))
    ended = run(
        *command("--steps", 9, "--experiments", 0, "--json", tmp_path / "it.json", tmp_path / "train.py", "fork")
    )
    assert ended.returncode == 7 and ended.stdout.endswith("780\n")
    report = json.loads((tmp_path / "it.json").read_text())
    assert report["steps"]["count"] == 9 and report["status"] is None
    assert "fastload profile:" in ended.stderr and "late" in ended.stderr


def test_wrong_use():
    assert run(*command()).returncode == 2
    assert run(*command("--steps", 0, "train.py")).returncode == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_the_page_draws_in_a_browser_and_says_what_the_json_says(tmp_path):
    facts = made_up(
        stages={"decode": [0.1, 0.1, 4], "transform:Blur": [0.08, 0.08, 4]},
        loader={"experiments": {"sweep": {"unit": "workers", "rates": [[1, 20.0], [2, 39.0], [4, 70.0]], "fit": None}}},
    )
    report = report_of(facts)
    page = tmp_path / "it.html"
    page.write_text(html_of(report))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000"]
    profile = f"--user-data-dir={tmp_path / 'browser'}"
    ended = run("chromium", *options, profile, "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", page.as_uri())
    assert "CONSOLE" not in ended.stderr, ended.stderr
    body = ended.stdout
    assert body.count('class="main-svg"') >= 2 * 5  # shares, timeline, batch, sweep, predictions
    shares = dict(
        re.findall(r"<tr><td>(\w+)</td><td>([\d.]+)</td>", body.split('<table id="shares">')[1].split("</table>")[0])
    )
    assert {kind: float(share) for kind, share in shares.items()} == {
        kind: share for kind, share in report["shares"].items() if share > 0
    }
    rows = re.findall(
        r"<tr><td>([^<]+)</td><td>([\d.]+)</td>", body.split('<table id="predictions">')[1].split("</table>")[0]
    )
    assert [(name, float(rate)) for name, rate in rows] == [
        (each["remedy"], round(each["images_per_second"], 1)) for each in report["predictions"]
    ]
    assert Path(tmp_path / "it.html").stat().st_size < 10e6


def test_who_waits_for_a_process_with_a_loader_sees_it_end(tmp_path):
    (tmp_path / "train.py").write_text("""
import multiprocessing
from multiprocessing.connection import wait
from torch.utils.data import DataLoader

def work():
    list(DataLoader(range(40), batch_size=2))

if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    wait([process.sentinel])  # as torch.multiprocessing.spawn does
    process.join()
    print(process.exitcode)
""")
    ended = run(*command("--experiments", 0.5, tmp_path / "train.py"))
    assert ended.stdout == "0\n" and ended.returncode == 0, ended.stderr


RANKS = """
import torch.distributed
torch.distributed.init_process_group("gloo")
for batch in DataLoader(Items(), batch_size=4):
    torch.distributed.all_reduce(torch.zeros(1))
torch.distributed.destroy_process_group()
"""
RANKS = with_items(48, 0.005, RANKS)


@pytest.mark.slow
@pytest.mark.parametrize("outside", ["torchrun", "fastload"])
def test_all_ranks_are_in_one_report(tmp_path, outside):
    (tmp_path / "train.py").write_text(RANKS)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2]
    profile = ["-m", "fastload", "profile", "--experiments", 0, "--json", tmp_path / "it.json"]
    parts = [*launch, *profile] if outside == "torchrun" else [*profile, *launch]
    ended = run(sys.executable, *parts, tmp_path / "train.py", env=environment(OMP_NUM_THREADS="1"))
    assert ended.returncode == 0, ended.stderr
    report = json.loads((tmp_path / "it.json").read_text())
    assert [(loader["rank"], loader["steps"]["count"]) for loader in report["loaders"]] == [(0, 12), (1, 12)]
    assert ended.stderr.count("fastload profile:") == 1


@pytest.fixture
def untold(monkeypatch):
    """An environment without a run in it; what a test puts there goes."""
    for name in ("FASTLOAD_PROFILE", "PYTHONPATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def told():
    return os.environ.get("FASTLOAD_PROFILE"), os.environ.get("PYTHONPATH")


@pytest.mark.parametrize("launcher", ["torch.distributed.elastic.multiprocessing", "accelerate.commands"])
def test_a_launcher_of_ranks_hands_the_recorder_on_and_no_other_script_does(monkeypatch, untold, tmp_path, launcher):
    monkeypatch.setattr(recording, "when_imported", lambda name, then: then() if name == launcher else None)
    recording.record_with_torch(str(tmp_path))
    folder, search = told()
    assert folder == str(tmp_path) and (Path(search) / "sitecustomize.py").exists()


@pytest.mark.parametrize("package", ["lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"])
def test_ranks_that_lightning_starts_are_told_and_nothing_else_is(monkeypatch, untold, tmp_path, package):
    class Launcher:
        def _call_children_scripts(self):
            self.seen = told()
            raise OSError("no more processes")

    name = f"{package}.strategies.launchers.subprocess_script"
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(_SubprocessScriptLauncher=Launcher))
    monkeypatch.setattr(recording, "when_imported", lambda wanted, then: then() if wanted == name else None)
    recording.record_with_torch(str(tmp_path))
    launcher = Launcher()
    assert told() == (None, None)
    with pytest.raises(OSError, match="no more"):
        launcher._call_children_scripts()
    folder, search = launcher.seen
    assert folder == str(tmp_path) and (Path(search) / "sitecustomize.py").exists()
    assert told() == (None, None)
