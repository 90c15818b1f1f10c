"""Daemon threads that are in the middle of something when the interpreter ends."""

from __future__ import annotations

import pytest

from children import run_script
from images import write_folder

SCRIPT = """
import sys, threading, time, torch, fastload, torchvision.transforms as T
root, what = sys.argv[1:]
def twice(image): return 2 * image
transforms = [T.RandomResizedCrop(32), T.ToTensor()]
if what == "items": transforms.append(twice)
data = fastload.ImageFolder(root, T.Compose(transforms))
# Made here: torch's constructor may abort the process if a daemon thread is in it when all ends.
loaders = [fastload.DataLoader(data, batch_size=4, num_workers=number % 3) for number in range(5)]
begun = threading.Semaphore(0)
def go(number):
    for turn in range(1 << 30):
        if what in ("items", "lists"):
            data.__getitems__(range(len(data)))
            begun.release()
        else:
            for _ in loaders[number]:
                begun.release()
threads = [threading.Thread(target=go, args=(number,), daemon=True) for number in range(5)]
for thread in threads: thread.start()
for _ in range(20): begun.acquire()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=8)


@pytest.mark.parametrize("what", ["loader", "lists", "items"])
def test_daemon_threads_do_not_disturb_the_end(root, what):
    ended = run_script(SCRIPT, root, what, warnings=[("ignore", "Warning")])
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")
