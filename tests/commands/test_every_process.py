"""``fastload run`` reaches every process of this Python that the script starts, however it starts it, and no other Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap

import pytest

from children import LIMIT, PACKAGES, environment

ROOT = PACKAGES
# Says who makes its loaders, and what else is not as python has it.
CHILD = """
    import json, os, sys
    from torch.utils.data import DataLoader
    ours = hasattr(DataLoader.__init__, "__wrapped__")
    here = [os.environ.get("LOCAL_RANK", "-"), ours, sys.path, sorted(set(sys.modules) & {"click", "sitecustomize"})]
    print(json.dumps(here), flush=True)
"""


@pytest.fixture
def like_torch(tmp_path):
    """A stand-in for torch, which takes seconds to import, and a script that a process may run."""
    package = tmp_path / "lib" / "torch" / "utils" / "data"
    package.mkdir(parents=True)
    (tmp_path / "lib" / "torch" / "__init__.py").touch()
    (tmp_path / "lib" / "torch" / "utils" / "__init__.py").touch()
    (package / "__init__.py").write_text("from torch.utils.data.dataloader import DataLoader\n")
    (package / "dataloader.py").write_text("class DataLoader:\n    def __init__(self, data): self.data = data\n")
    (tmp_path / "child.py").write_text(textwrap.dedent(CHILD))
    return tmp_path


def make_python(folder, *lines):
    """An environment that borrows this one's packages, and what such lines of a .pth file name."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=LIMIT)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(map(str, lines)) + "\n")
    return python, packages


def installed(like_torch):
    """A Python with fastload as pip would install it: importable, and with its .pth file."""
    lines = [ROOT, like_torch / "lib", sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    python, packages = make_python(like_torch / "installed", *lines)
    shutil.copy(ROOT / "packaging" / "fastload-run.pth", packages)
    return python, {name: value for name, value in environment().items() if name != "PYTHONPATH"}


def on_the_path(like_torch):
    """This Python, that finds fastload by PYTHONPATH alone."""
    path = os.pathsep.join([str(like_torch / "lib"), environment()["PYTHONPATH"]])
    return sys.executable, environment(PYTHONPATH=path)


def output_of(python, env, *arguments, cwd):
    done = subprocess.run(
        [str(python), *arguments],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


# How launchers start processes: what Lightning, torchrun, accelerate and people's scripts do.
STARTS = {
    "subprocess": "subprocess.run([sys.executable, 'child.py'])",
    "with a copy of the environment": "subprocess.run([sys.executable, 'child.py'], env={**os.environ, 'LOCAL_RANK': '1'})",
    "unbuffered module": "subprocess.run([sys.executable, '-u', '-m', 'child'])",
    "shell": "subprocess.run(f'{shlex.quote(sys.executable)} child.py', shell=True)",
    "os.system": "os.system(f'{shlex.quote(sys.executable)} child.py')",
    "spawnv": "os.spawnv(os.P_WAIT, sys.executable, [sys.executable, 'child.py'])",
    "exec": "sys.stdout.flush(); os.execv(sys.executable, [sys.executable, 'child.py'])",
    "grandchild": "subprocess.run(['env', 'A=1', 'sh', '-c', '\"$0\" child.py; exit 0', sys.executable])",
    "asyncio": "import asyncio; asyncio.run(start())",
    "longer path": "subprocess.run([sys.executable, 'child.py'], env=longer())",
}  # fmt: skip
# What python is told to overlook, or another search path: only an installed fastload is still found.
NARROW_STARTS = {
    "isolated": "subprocess.run([sys.executable, '-I', 'child.py'])",
    "no environment": "subprocess.run([sys.executable, '-E', 'child.py'])",
    "own search path": "subprocess.run([sys.executable, 'child.py'], env={**os.environ, 'PYTHONPATH': 'src'})",
}
SCRIPT = """
    import os, shlex, subprocess, sys
    async def start():
        await (await asyncio.create_subprocess_exec(sys.executable, "child.py")).wait()
    def longer():
        return dict(os.environ, PYTHONPATH="a:" + os.environ.get("PYTHONPATH", ""))
    {start}
"""


def both(like_torch, python, env, start):
    """What the child says under python, and under fastload run."""
    (like_torch / "train.py").write_text(textwrap.dedent(SCRIPT).format(start=start))
    return [output_of(python, env, *run, "train.py", cwd=like_torch) for run in ([], ["-m", "fastload", "run"])]


@pytest.mark.parametrize("where", [installed, on_the_path])
def test_processes_that_the_script_starts(where, like_torch):
    python, env = where(like_torch)
    starts = {**STARTS, **(NARROW_STARTS if where is installed else {})}
    for how, start in starts.items():
        ((rank, by_python, *rest),), ((rank_too, by_run, *rest_too),) = both(like_torch, python, env, start)
        assert (how, by_python, by_run) == (how, False, True)
        assert (how, rank, *rest) == (how, rank_too, *rest_too)


def test_an_installed_one_leaves_the_search_path_alone(like_torch):
    python, env = installed(like_torch)
    (like_torch / "train.py").write_text("import json, os; print(json.dumps(os.environ.get('PYTHONPATH')))\n")
    assert output_of(python, env, "-m", "fastload", "run", "train.py", cwd=like_torch) == [None]
    env["PYTHONPATH"] = "a::b"
    assert output_of(python, env, "-m", "fastload", "run", "train.py", cwd=like_torch) == ["a::b"]


@pytest.mark.parametrize("where", [installed, on_the_path])
@pytest.mark.parametrize("has_fastload", [False, True])
def test_another_python_runs_untouched(where, has_fastload, like_torch):
    python, env = where(like_torch)
    other, packages = make_python(like_torch / "other", *[ROOT] * has_fastload, like_torch / "lib")
    (packages / "sitecustomize.py").write_text("import sys; sys.mine = True\n")
    if has_fastload:
        shutil.copy(ROOT / "packaging" / "fastload-run.pth", packages)
    start = f"subprocess.run([{str(other)!r}, 'child.py'])"
    by_python, by_run = both(like_torch, python, env, start)
    assert by_run == by_python and by_run[0][1] is False and "sitecustomize" in by_run[0][3]
    # nothing of fastload's is looked for by a Python that has none
    loaded = (
        f"subprocess.run([{str(other)!r}, '-c', 'import sys; print(int(sys.mine and \\'fastload\\' in sys.modules))'])"
    )
    by_python, by_run = both(like_torch, python, env, loaded)
    assert by_python == [0] and by_run == [int(has_fastload)]


def test_uninstalled_means_for_further_processes_too(like_torch):
    for python, env in (installed(like_torch), on_the_path(like_torch)):
        start = "import fastload; fastload.uninstall(); subprocess.run([sys.executable, 'child.py'])"
        by_python, by_run = both(like_torch, python, env, start)
        assert by_run == by_python and by_run[0][1] is False


def test_a_launcher_under_run_and_run_under_a_launcher(like_torch):
    """``fastload run launch.py train.py`` and ``launch.py -m fastload run train.py``, each with further processes below."""
    (like_torch / "launch.py").write_text(
        "import os, subprocess, sys\n"
        "for rank in '01': subprocess.run([sys.executable, *sys.argv[1:]], env={**os.environ, 'LOCAL_RANK': rank})\n"
    )
    (like_torch / "train.py").write_text(
        "import os, subprocess, sys\nimport child\nsubprocess.run([sys.executable, 'child.py'])\n"
    )
    for python, env in (installed(like_torch), on_the_path(like_torch)):
        for command in ("-m fastload run launch.py train.py", "launch.py -m fastload run train.py"):
            lines = output_of(python, env, *command.split(), cwd=like_torch)
            assert [line[:2] for line in lines] == [["0", True]] * 2 + [["1", True]] * 2


TORCH_SPAWNS = """
    import sys
    import torch.multiprocessing, torch.utils.data

    def rank(number, start):
        print(start, number, hasattr(torch.utils.data.DataLoader.__init__, "__wrapped__"), flush=True)

    if __name__ == "__main__":
        torch.multiprocessing.spawn(rank, args=("spawn",), nprocs=1)
"""


def test_torchs_own_ranks(tmp_path):
    (tmp_path / "train.py").write_text(textwrap.dedent(TORCH_SPAWNS))
    done = subprocess.run(
        [sys.executable, "-m", "fastload", "run", "train.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (done.stdout, done.returncode) == ("spawn 0 True\n", 0), done.stderr


def test_torchrun(tmp_path):
    (tmp_path / "train.py").write_text(
        "import os, torch.utils.data\n"
        "with open('rank' + os.environ['LOCAL_RANK'], 'w') as said:  # two ranks' words in one pipe may mix\n"
        "    said.write(str(hasattr(torch.utils.data.DataLoader.__init__, '__wrapped__')))\n"
    )
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2 train.py"
    done = subprocess.run(
        [sys.executable, "-m", "fastload", "run", *torchrun.split()],
        cwd=tmp_path,
        env=environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert {said.name: said.read_text() for said in tmp_path.glob("rank*")} == {"rank0": "True", "rank1": "True"}
