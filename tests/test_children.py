"""What other tests rest on: processes, waiting, interrupts and files that never answer are what their names say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from children import Script, environment, interruptible, run, run_script
from waiting import interrupted_in, never_read, until_asleep, when_asleep

ABOUT = """
    import os, signal, sys, tempfile
    print(__name__, sys.argv, os.getcwd(), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    print(sys.getfilesystemencoding(), tempfile.gettempdir() == os.environ["TMPDIR"], sys.stdin.read() == "")
    print(len(os.listdir("/proc/self/task")), "__file__" in globals(), os.getpid() == os.getsid(0))
"""


@pytest.mark.parametrize("ignored", [False, True])
def test_a_script_is_as_in_an_interpreter_of_its_own(tmp_path, ignored):
    """However this one was started."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignored else None
    try:
        forked = run_script(ABOUT, "a", 1, cwd=tmp_path)
        started = run(sys.executable, "-c", textwrap.dedent(ABOUT), "a", 1, cwd=tmp_path)
    finally:
        if ignored:
            signal.signal(signal.SIGINT, before)
    assert started.stdout.startswith(f"__main__ ['-c', 'a', '1'] {tmp_path} True\nutf-8 True True\n")
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


@pytest.mark.parametrize(
    ("code", "status", "output"),
    [
        ("import atexit; atexit.register(print, 'bye'); print('hello')", 0, "hello\nbye\n"),
        ("raise SystemExit(7)", 7, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        (
            "import threading, time; threading.Thread(target=lambda: time.sleep(0.1) or print('late')).start()",
            0,
            "late\n",
        ),
        ("import os; os.fork() or print('from both', flush=True)", 0, "from both\n"),
    ],
)
def test_a_script_ends_as_the_interpreter_does(code, status, output):
    ended = run_script(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, output, "")


def test_an_error_of_a_script():
    ended = run_script("import warnings; warnings.warn('no')\n1 / 0", warnings=[("error", "UserWarning")])
    assert ended.returncode == 1 and ended.stderr.splitlines()[-1] == "UserWarning: no"


def test_a_script_that_is_left_is_killed():
    with Script("import time; print('here', flush=True); time.sleep(1000)", session=True) as script:
        assert script.stdout.readline() == "here\n" and os.getsid(script.pid) == script.pid
    assert script.returncode == -signal.SIGKILL


def test_environments_do_not_show_who_started_the_tests(monkeypatch):
    assert not {"PYTHONWARNINGS", "LOCAL_WORLD_SIZE", "OMP_NUM_THREADS", "FORCE_COLOR"} & set(environment())
    code = "import os; print('\\u00e4', oct(os.umask(0)))"
    umask = os.umask(0o077)
    try:
        assert run(sys.executable, "-c", code).stdout == "ä 0o77\n"
    finally:
        os.umask(umask)


def test_interrupts_come_when_the_thread_waits():
    def waits():
        for _ in range(10**6):  # not yet
            pass
        read, _ = pipes
        os.read(read, 1)

    pipes = os.pipe()
    before = signal.getsignal(signal.SIGINT)
    with interrupted_in("waits"), pytest.raises(KeyboardInterrupt):
        waits()
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(AssertionError, match="did not wait in waits"), when_asleep(lambda: None, "waits"):
        pass
    for number in pipes:
        os.close(number)


def test_a_pipe_that_is_never_read(tmp_path):
    (tmp_path / "file").write_text("something")
    with never_read(tmp_path / "file") as pipe:
        assert not pipe.is_read()
        with interruptible(), subprocess.Popen(["cat", tmp_path / "file"], stdout=subprocess.PIPE) as reader:
            pipe.until_read(reader.pid)
            until_asleep(reader.pid, reader.pid)
            child = os.fork()  # which must not keep the pipe open
            if child == 0:
                time.sleep(1000)
            pipe.let_go()
            assert reader.stdout.read() == b"" and reader.wait() == 0
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert (tmp_path / "file").read_bytes() == b""
