"""``fastload profile`` while the script stands still: whoever kills the supervisor, or presses Ctrl-C, does not end the script."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from scripts import with_items
from terminal import at_a_terminal, press_ctrl_c

from children import LIMIT, environment, run, temporary
from waiting import tree, until, until_asleep

pytest.importorskip("psutil")

TRAIN = """
print(os.getpid(), flush=True)
total = 0
for step, batch in enumerate(DataLoader(Items(), batch_size=4, num_workers=1)):
    time.sleep(0.001)
    total += int(batch.sum())
    if step == 50:
        while not os.path.exists("go"): time.sleep(0.01)
print(total)
"""
TRAIN = with_items(400, 0.001, TRAIN)


def state(process):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def in_experiments(tmp_path):
    """A profiled script that stands still: its supervisor, their folder for temporary files, and who stands still."""
    (tmp_path / "train.py").write_text(TRAIN)
    runs = Path(tempfile.mkdtemp(dir=temporary()))  # short: workers' sockets are in it
    command = [sys.executable, "-m", "fastload", "profile", "--steps", "20", "--experiments", "60", "train.py"]
    with at_a_terminal(command, tmp_path, environment(TMPDIR=str(runs))) as process:
        script = int(process.stdout.readline())
        until(lambda: state(script) == "T", "the script that stands still")
        assert "experiments with the data set" in process.stderr.readline()
        until(lambda: any(runs.glob("fastload-*/trial-*")), "an experiment")
        yield process, runs, [each for each in tree(script) if state(each) == "T"]


def test_a_supervisor_that_is_killed_leaves_a_script_that_goes_on(tmp_path):
    with in_experiments(tmp_path) as (process, runs, stopped):
        assert len(stopped) >= 2
        process.kill()
        until(lambda: "T" not in map(state, stopped), "all that go on")
        until(lambda: not [*runs.glob("fastload-*")], "the folder's end")
        (tmp_path / "go").touch()
        assert process.stdout.read() == "79800\n"  # the script to its end


@pytest.mark.parametrize("again", [False, True])
def test_an_interrupt_of_the_experiments_is_not_the_scripts(tmp_path, again):
    with in_experiments(tmp_path) as (process, runs, stopped):
        press_ctrl_c(process)
        until(lambda: "T" not in map(state, stopped), "all that go on")
        until(lambda: not [*runs.glob("fastload-*/interrupted-*")], "the interrupt to have gone by")
        if again:
            press_ctrl_c(process)
        else:
            (tmp_path / "go").touch()
        output, errors = process.communicate(timeout=LIMIT)
        assert "The experiments were interrupted." in errors
        assert ("KeyboardInterrupt" in errors) == again, errors
        assert (output, process.returncode) == (("", -signal.SIGINT) if again else ("79800\n", 0)), errors


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_script_that_a_signal_kills_is_what_it_was(tmp_path, number):
    (tmp_path / "train.py").write_text(f"import os; os.kill(os.getpid(), {int(number)})\n")
    ended = run(sys.executable, "-m", "fastload", "profile", tmp_path / "train.py")
    assert ended.returncode == -number and "Traceback" not in ended.stderr


COUNTS = """
import os, signal, sys, time
from torch.utils.data import DataLoader

seen = []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
for step, batch in enumerate(DataLoader(range(4000), batch_size=4)):
    if step == 20:
        open("begun", "w").close()
        while not seen:
            time.sleep(0.01)
        while not os.path.exists("go"): time.sleep(0.01)
print(len(seen))
sys.exit(9)
"""


@pytest.mark.parametrize("whole", [False, True])
def test_an_interrupt_of_the_command_alone_reaches_the_script_too_and_once(tmp_path, whole):
    (tmp_path / "train.py").write_text(COUNTS)
    with at_a_terminal([sys.executable, "-m", "fastload", "profile", "train.py"], tmp_path) as process:
        until((tmp_path / "begun").exists, "the twentieth step")
        press_ctrl_c(process) if whole else process.send_signal(signal.SIGINT)
        time.sleep(0.5)  # a second one would come soon
        (tmp_path / "go").touch()
        output, errors = process.communicate(timeout=LIMIT)
    assert (output, process.returncode) == ("1\n", 9), errors
    assert "fastload profile:" in errors and "experiments" not in errors


HANG = """
import os, sys, time
from torch.utils.data import DataLoader

class Items:
    def __len__(self): return 80
    def __getitem__(self, index):
        if index == 43:
            open("hangs", "w").close()
            time.sleep(10**6)
        return index

for number, batch in enumerate(DataLoader(Items(), batch_size=4, num_workers=2)):
    if number == 9:
        with open("waits", "w") as told: told.write(str(os.getpid()))
"""


def test_a_hang_is_told_with_its_worker_and_item(tmp_path):
    (tmp_path / "train.py").write_text(HANG)
    with at_a_terminal([sys.executable, "-m", "fastload", "profile", "train.py"], tmp_path) as process:
        until((tmp_path / "hangs").exists, "the item that hangs")
        until(lambda: (tmp_path / "waits").exists() and (tmp_path / "waits").read_text(), "the batch before")
        script = int((tmp_path / "waits").read_text())
        until_asleep(script, script)
        time.sleep(2.5)  # what is told is a time, of more than a second
        press_ctrl_c(process)
        _, errors = process.communicate(timeout=LIMIT)
    assert re.search(r"no batch came for [\d.]+ s \(worker 0 was at item 43\)", " ".join(errors.split())), errors
