"""A file that never answers (a FIFO stands in for a stuck mount): everything can still be dropped, and the process can end."""

from __future__ import annotations

import os
import signal

import pytest

from children import Script
from images import write_folder
from waiting import until_all_asleep

BEGIN = """
import sys
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
del iterator, loader
print("dropped", flush=True)
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
    code = BEGIN + SCENES[scene]
    with Script(code, root, kind, workers, warnings=[("ignore", "Warning")], session=True) as script:
        for _ in range(interrupts or 1):
            assert script.stdout.readline() == "waiting\n", script.communicate()
            if interrupts:
                until_all_asleep(script.pid)  # some in the file, and the others because of it
                os.killpg(script.pid, signal.SIGINT)
            assert script.stdout.readline() == ("KeyboardInterrupt\n" if interrupts else "RuntimeError\n")
        assert script.communicate() == ("dropped\n" if "dropped" in scene else "", "") and script.returncode == 0


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
