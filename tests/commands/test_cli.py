"""The command: fastload run."""

from __future__ import annotations

import sys
import textwrap

import pytest

from children import run, run_script
from images import write_folder

SCRIPT = """
    import sys
    from torch.utils.data import DataLoader  # before anybody has heard of fastload
    import torch, torchvision.transforms as T
    from torchvision.datasets import ImageFolder

    def main():
        data = ImageFolder(sys.argv[1], T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
        torch.manual_seed(0)
        loader = DataLoader(data, batch_size=4, shuffle=True, num_workers=1)
        total = sum(images.double().sum().item() for images, _ in loader)
        print(type(loader).__module__, __name__, sys.argv[2:], total)

    if __name__ == "__main__":
        main()
        sys.exit(7)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    folder = tmp_path_factory.mktemp("script")
    (folder / "train.py").write_text(textwrap.dedent(SCRIPT))
    write_folder(folder / "images", classes=2, images=4)
    return folder / "train.py"


def command(*args, cwd=None):
    return run(sys.executable, "-m", "fastload", *args, cwd=cwd)


def test_an_unmodified_script_runs_with_our_loader(script):
    images = script.parent / "images"
    plain = run_script(SCRIPT, images, "--lr", "1")
    ours = command("run", script, images, "--lr", "1")
    assert (plain.returncode, ours.returncode) == (7, 7)
    assert plain.stdout.startswith("torch.utils.data.dataloader __main__ ['--lr', '1']")
    assert ours.stdout == plain.stdout.replace("torch.utils.data.dataloader", "fastload.loader")
    assert ours.stderr == plain.stderr == ""


@pytest.mark.slow
def test_a_module(script):
    ours = command("run", "-m", "train", script.parent / "images", "--help", cwd=script.parent)
    assert ours.stdout.startswith("fastload.loader __main__ ['--help']") and ours.returncode == 7


def test_an_error_of_the_script_is_the_scripts(tmp_path):
    (tmp_path / "broken.py").write_text("raise KeyError('lr')\n")
    ended = command("run", tmp_path / "broken.py")
    assert ended.returncode == 1 and ended.stderr.rstrip().endswith("KeyError: 'lr'")


def test_wrong_use():
    assert command("run").returncode == 2
    missing = command("run", "no_such_script.py")
    assert missing.returncode == 2 and "no_such_script.py" in missing.stderr
    assert command("walk").returncode == 2


def test_help_has_an_example():
    assert "run" in command("--help").stdout
    helped = command("run", "--help")
    assert helped.returncode == 0 and "Example:" in helped.stdout
