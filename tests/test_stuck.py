"""A file that never answers (a FIFO stands in for a stuck mount): everything can still be dropped, and the process can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from images import write_folder

# Stock is gone in five seconds; a busy machine gets more time to start and to end.
LIMIT_SECONDS = 60

BEGIN = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import torch, torch.utils.data, torchvision.transforms as T, fastload
root, kind, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
def twice(image): return 2 * image
tail = [twice] if "tail" in kind else []
size = [] if "unsized" in kind else [T.RandomResizedCrop(16)]
data = fastload.ImageFolder(root, T.Compose([*size, T.ToTensor(), *tail]))
Loader = torch.utils.data.DataLoader if "stock" in kind else fastload.DataLoader
options = {"timeout": 1.0} if "timeout" in kind else {}
if "device" in kind:
    options["device"] = "cpu"
loader = Loader(data, batch_size=3, num_workers=workers, persistent_workers="persistent" in kind, **options)
def interrupted(call):
    try:
        print("waiting", flush=True)
        call()
    except (KeyboardInterrupt, RuntimeError) as error:
        print(type(error).__name__, flush=True)
"""
SCENES = {
    "interrupted, dropped, exit": """
iterator = iter(loader)
interrupted(lambda: next(iterator))
began = time.monotonic()
del iterator, loader
assert time.monotonic() - began < 30
""",
    "interrupted, exit": "iterator = iter(loader); interrupted(lambda: next(iterator))",
    "interrupted twice, exit": """
iterator = iter(loader)
interrupted(lambda: next(iterator))
interrupted(lambda: list(loader))
""",
    "lists": "interrupted(lambda: data.__getitems__([0, 1, 2]))",
    "one item": "interrupted(lambda: data[0])",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=1, images=5, largest=48)
    os.mkfifo(root / "class0" / "0.jpg")
    return root


def run(root, scene: str, kind: str, workers: int, interrupts: int) -> None:
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + SCENES[scene], str(root), kind, str(workers)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for _ in range(interrupts or 1):
            assert process.stdout.readline() == "waiting\n", process.stderr.read()
            if interrupts:
                time.sleep(0.5)  # it may be interrupted before it waits as well; it seldom is
                os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.readline() == ("KeyboardInterrupt\n" if interrupts else "RuntimeError\n")
        assert process.communicate(timeout=LIMIT_SECONDS) == ("", "") and process.returncode == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    ("scene", "kind", "workers", "interrupts"),
    [
        ("interrupted, dropped, exit", "native", 2, 1),
        pytest.param("interrupted, dropped, exit", "native device", 2, 1, marks=pytest.mark.slow),
        pytest.param("interrupted, exit", "native", 0, 1, marks=pytest.mark.slow),
        pytest.param("interrupted, exit", "native persistent", 1, 1, marks=pytest.mark.slow),
        pytest.param("interrupted twice, exit", "native", 1, 2, marks=pytest.mark.slow),
        pytest.param("interrupted, dropped, exit", "native timeout", 1, 0, marks=pytest.mark.slow),
        ("interrupted, exit", "tail", 1, 1),
        pytest.param("interrupted, exit", "tail", 0, 1, marks=pytest.mark.slow),
        pytest.param("interrupted, exit", "stock", 1, 1, marks=pytest.mark.slow),
        pytest.param("interrupted, exit", "stock", 0, 1, marks=pytest.mark.slow),
        pytest.param("lists", "native", 0, 1, marks=pytest.mark.slow),
        pytest.param("lists", "tail", 0, 1, marks=pytest.mark.slow),
        pytest.param("one item", "native", 0, 1, marks=pytest.mark.slow),
    ],
)
def test_the_process_can_end(root, scene, kind, workers, interrupts):
    run(root, scene, kind, workers, interrupts)
