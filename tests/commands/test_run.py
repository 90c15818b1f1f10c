"""``fastload run`` is python: status, output and errors of small scripts, whole, as the interpreter alone gives them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile

import pytest

from children import LIMIT

# Each ends, or goes on, in another of the ways that the interpreter looks after.
SCRIPTS = {
    "what it is": """
        import sys
        print(__name__, __file__, __spec__, __package__, __doc__, type(__loader__).__name__, __builtins__, sorted(globals()))
        print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions, sys.executable)
        import __main__
        print(vars(__main__) is globals(), [name for name in sys.modules if name.startswith(("torch", "click", "runpy"))])
    """,
    "environment": """
        import os
        print(sorted(item for item in os.environ.items() if item[0] not in ("FASTLOAD_RUN", "PYTHONPATH")))
        print(*[f for f in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not f.endswith("/commands/startup")])
        import subprocess, sys
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", "import sys; print(sys.path, sys.modules.get('sitecustomize'))"])
    """,
    "frames": """
        import inspect, traceback, warnings
        def depth(): return len(inspect.stack())
        print(depth())
        traceback.print_stack()
        warnings.warn("careful", stacklevel=1)
        warnings.warn("careful", stacklevel=9)
        def deeper(n):
            try: return deeper(n + 1)
            except RecursionError: return n
        print(deeper(0))
    """,
    "source": """
        import inspect
        class Model:
            def forward(self): return 1
        print(inspect.getsource(Model), inspect.getsourcefile(Model))
    """,
    "exit None": "import sys; print('x'); sys.exit(None)",
    "exit 3": "import sys; sys.exit(3)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit text": "import sys; sys.exit('no data')",
    "exit object": "import sys; sys.exit([1, 2])",
    "exit tuple": "raise SystemExit(1, 2)",
    "exit big": "import sys; sys.exit(2**40)",
    "exit in atexit": "import atexit, sys; atexit.register(sys.exit, 4); print('main')",
    "os._exit": "import os; os._exit(5)",
    "abort": "import os; os.abort()",
    "terminated": "import os, signal; signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15); import time; time.sleep(60)",
    "end of input": "input('name? ')",
    "broken pipe": "raise BrokenPipeError(32, 'Broken pipe')",
    "closed output": "import os, sys; print('x'); os.close(1)",
    "interrupt": "def train(): raise KeyboardInterrupt\ntrain()",
    "interrupt by signal": """
        import os, signal, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    """,
    "interrupt caught": """
        import sys
        try: raise KeyboardInterrupt
        except KeyboardInterrupt: print("saved"); sys.exit(130)
    """,
    "error": """
        def train(rate):
            raise KeyError(rate)
        if __name__ == "__main__":
            train("lr")
    """,
    "error from another": """
        try: {}["a"]
        except KeyError as error: raise ValueError("no a") from error
    """,
    "error in import": "import no_such_module",
    "error in syntax": "print('x')\nfor\n",
    "error in indentation": "if True:\nprint('x')\n",
    "error with a note": "class Abort(Exception): pass\nraise Abort('click has one too')",
    "click's own error": "import click\nraise click.ClickException('not python\\'s')",
    "error in a hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__, a[2].tb_next)\n1 / 0",
    "error in a destructor": """
        class A:
            def __del__(self): raise ValueError("late")
        a = A()
        print("end")
    """,
    "thread fails": """
        import threading
        def work(): raise ValueError("in a thread")
        thread = threading.Thread(target=work, name="worker"); thread.start(); thread.join()
        print("main goes on")
    """,
    "thread exits": """
        import sys, threading
        thread = threading.Thread(target=sys.exit, args=(9,)); thread.start(); thread.join()
        print("main goes on")
    """,
    "saved late": """
        import atexit, pickle, sys, threading
        class State:
            step = 7
            def __init__(self): self.loss = 0.5
        def save(who):
            twin = pickle.loads(pickle.dumps(State()))
            print(who, type(twin) is State, twin.loss, State.__module__, vars(sys.modules["__main__"]).get("__file__"))
        atexit.register(save, "atexit")
        def late():
            threading.main_thread().join()
            save("thread")
        threading.Thread(target=late).start()
    """,
    "children": """
        import multiprocessing, os
        print("imported as", __name__)
        class Item:
            def __init__(self, n): self.n = n
        def work(item): return Item(item.n * 2)
        def fail(): raise ValueError("child")
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool: print([i.n for i in pool.map(work, [Item(1), Item(2)])])
            process = context.Process(target=fail, name="child"); process.start(); process.join(); print(process.exitcode)
    """,
    "forkserver": """
        import multiprocessing
        def work(q): q.put(work.__module__)
        if __name__ == "__main__":
            context = multiprocessing.get_context("forkserver")
            queue = context.SimpleQueue()
            process = context.Process(target=work, args=(queue,)); process.start(); print(queue.get()); process.join()
    """,
    "latin-1": "# coding: latin-1\nprint(len('\xe9'), ascii('\xe9'))\n".encode("latin-1"),
    "not utf-8": b"print('\xe9')\n",
    "nulls": b"print(1)\x00\n",
    "empty": b"",
}  # fmt: skip


def both(*arguments, options=(), **how):
    """(status, stdout, stderr) of python, and of fastload run."""
    how = {"capture_output": True, "timeout": LIMIT, "stdin": None if "input" in how else subprocess.DEVNULL, **how}
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **how.pop("env", {})}
    ended = []
    for before in ([], ["-m", "fastload", "run"]):
        done = subprocess.run([sys.executable, *options, *before, *map(str, arguments)], env=environment, **how)
        texts = (re.sub("0x[0-9a-f]+", "0x", stream.decode()) for stream in (done.stdout, done.stderr))
        ended.append((done.returncode, *texts))
    return ended


def same(*arguments, **how):
    python, ours = both(*arguments, **how)
    assert ours == python
    return ours


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script(name, tmp_path):
    text = SCRIPTS[name]
    text = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    (tmp_path / "train.py").write_bytes(text)
    same("train.py", "--epochs", "90", "-m", "--help", "-", "--", cwd=tmp_path)


def test_an_interrupt_is_seen_by_the_shell(tmp_path):
    (tmp_path / "train.py").write_text("raise KeyboardInterrupt\n")
    assert same(tmp_path / "train.py")[0] == -signal.SIGINT


WHAT = "import sys; print(__name__, __file__, __package__, __spec__ and __spec__.name, sys.argv, sys.path)\n"


def test_the_script_by_every_kind_of_path(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "here" / "train it.py"
    script.write_text(WHAT)
    (tmp_path / "elsewhere" / "link.py").symlink_to(script)
    (tmp_path / "elsewhere" / "-x.py").write_text(WHAT)
    same(script)
    same("train it.py", cwd=script.parent)
    same("../here/train it.py", cwd=tmp_path / "elsewhere")
    same("link.py", cwd=tmp_path / "elsewhere")
    same("./-x.py", cwd=tmp_path / "elsewhere")


def test_a_folder_and_a_zip(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text(WHAT + "import beside; 1 / 0\n")
    (tmp_path / "app" / "beside.py").write_text("print(__file__)\n")
    (tmp_path / "nothing").mkdir()
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.write(tmp_path / "app" / "__main__.py", "__main__.py")
        archive.write(tmp_path / "app" / "beside.py", "beside.py")
    same("app", "a", cwd=tmp_path)
    same("app.zip", "a", cwd=tmp_path)
    assert same("nothing", cwd=tmp_path)[0] == 1


def test_a_module_and_a_package(tmp_path):
    package = tmp_path / "trainer"
    package.mkdir()
    (package / "__init__.py").write_text("print('package')\n")
    (package / "__main__.py").write_text(WHAT + "from . import step\n")
    (package / "step.py").write_text(WHAT + "raise ValueError('step')\n")
    same("-m", "trainer", "--help", cwd=tmp_path)
    same("-m", "trainer.step", "-m", "x", cwd=tmp_path)
    assert same("-m", "no_such_module", cwd=tmp_path)[0] == 1
    assert same("-m", "trainer.no_such_module", cwd=tmp_path)[0] == 1


def test_the_standard_input():
    assert same("-", "a", input=(WHAT.replace("__file__, ", "") + "1 / 0\n").encode())[0] == 1


def test_no_such_script(tmp_path):
    status, _, error = same("no_such_script.py", cwd=tmp_path)
    assert status == 2 and "no_such_script.py" in error


@pytest.mark.parametrize("options", [["-O", "-X", "dev"], ["-u"], ["-W", "error", "-Bs"], ["-P"]])
def test_the_interpreters_own_options(options, tmp_path):
    (tmp_path / "train.py").write_text(
        "import sys; print(sys.flags, sys.warnoptions, sys._xoptions, sys.path, sys.orig_argv)\n"
    )
    if options == ["-P"] and sys.version_info < (3, 11):
        pytest.skip("-P came with Python 3.11")
    same("train.py", cwd=tmp_path, options=options)


@pytest.mark.parametrize("option", ["-E", "-I", "-S"])
def test_options_that_leave_no_way_in_are_refused(option, tmp_path):
    (tmp_path / "train.py").write_text("print('ran')\n")
    main = f"import sys; sys.path += {sys.path!r}; from fastload.commands import main; main(['run', 'train.py'])"
    ended = subprocess.run(
        [sys.executable, option, "-c", main], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT
    )
    assert ended.returncode == 2 and ended.stdout == "" and "-E, -I and -S" in ended.stderr


def test_the_users_own_sitecustomize_and_search_path(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "sitecustomize.py").write_text("import lib, sys; path = [*sys.path]\n")
    (mine / "lib.py").write_text("")
    script = "import sitecustomize as mine\nprint(mine.__file__, mine.path)\n"
    (tmp_path / "train.py").write_text(script)
    search = os.pathsep.join([str(mine), *filter(None, [os.environ.get("PYTHONPATH")])])
    status, output, error = same(tmp_path / "train.py", env={"PYTHONPATH": search})
    assert (status, error) == (0, "") and str(mine / "sitecustomize.py") in output


RANKS = """
    import multiprocessing, sys

    assert "torch" not in sys.modules

    def rank(context, depth):
        from torch.utils.data import DataLoader

        print(context, depth, DataLoader.__init__.__qualname__, hasattr(DataLoader.__init__, "__wrapped__"), flush=True)
        if depth:
            process = multiprocessing.get_context(context).Process(target=rank, args=(context, depth - 1))
            process.start()
            process.join()

    if __name__ == "__main__":
        for context in "spawn", "fork", "forkserver":
            rank(context, 2)
"""


# Here the parent never imports it.
IN_CHILDREN_ALONE = """
    import multiprocessing

    def rank(how):
        from torch.utils.data import DataLoader
        print(how, "fastload" in str(DataLoader.__init__.__globals__["__name__"]), flush=True)

    if __name__ == "__main__":
        for how in "spawn", "fork", "forkserver":
            process = multiprocessing.get_context(how).Process(target=rank, args=(how,))
            process.start()
            process.join()
"""


@pytest.fixture
def like_torch(tmp_path):
    """A stand-in for torch, which takes seconds to import: who has the constructor replaced?"""
    package = tmp_path / "torch" / "utils" / "data"
    package.mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch" / "utils" / "__init__.py").touch()
    (package / "__init__.py").write_text("from torch.utils.data.dataloader import DataLoader\n")
    (package / "dataloader.py").write_text("class DataLoader:\n    def __init__(self, data): self.data = data\n")
    return tmp_path


def test_processes_that_the_script_starts_have_our_loader_too(like_torch):
    (like_torch / "train.py").write_text(textwrap.dedent(RANKS))
    python, ours = both(like_torch / "train.py")
    lines = [f"{how} {depth} DataLoader.__init__" for how in ("spawn", "fork", "forkserver") for depth in (2, 1, 0)]
    assert python == (0, "".join(f"{line} False\n" for line in lines), "")
    assert ours == (0, "".join(f"{line} True\n" for line in lines), "")


@pytest.mark.parametrize("ended", [False, True])
def test_processes_of_a_script_that_does_not_import_torch_itself(ended, like_torch):
    first = "import fastload.installation; fastload.installation.uninstall()\n" if ended else ""
    (like_torch / "train.py").write_text(first + textwrap.dedent(IN_CHILDREN_ALONE))
    python, ours = both(like_torch / "train.py")
    assert python == (0, "spawn False\nfork False\nforkserver False\n", "")
    assert ours == ((0, "spawn True\nfork True\nforkserver True\n", "") if not ended else python)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closed, tmp_path):
    (tmp_path / "train.py").write_text(
        "import os, sys; os._exit(sum(map(bool, (sys.stdin, sys.stdout, sys.stderr))) + 3)\n"
    )
    commands = [[sys.executable, "train.py"], [sys.executable, "-m", "fastload", "run", "train.py"]]
    ended = [subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], cwd=tmp_path) for command in commands]
    assert [process.returncode for process in ended] == [6 - closed.count("&-")] * 2
