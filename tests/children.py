"""Processes that tests start, in an environment that does not depend on who started the tests, or where, or how."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fastload

LIMIT = 500  # seconds, of everything that a test waits for: it only guards
TESTS = Path(__file__).resolve().parent
FOLDERS = [TESTS, *sorted(folder for folder in TESTS.iterdir() if any(folder.glob("test_*.py")))]
PACKAGES = Path(fastload.__file__).resolve().parents[1]


@functools.cache
def temporary() -> str:
    """A folder for temporary files of this test run's processes; short, as sockets' paths must be."""
    folder = tempfile.mkdtemp(prefix="fl")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def environment(**more: str) -> dict[str, str]:
    """This process's, which conftest.py has cleaned, with our packages, one locale and temporary files of the run's own."""
    path = [str(PACKAGES), *map(str, FOLDERS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": temporary(),
        **more,
    }


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C means KeyboardInterrupt, here and in what is started here, though a shell's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run(
    *command: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """A command to its end: a real interpreter's, which imports all that it needs."""
    with interruptible():
        return subprocess.run(
            [*map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            cwd=cwd,
            env=environment() if env is None else env,
            check=check,
        )


class Script:
    """A process that runs Python code as ``python -c`` does, but forked from one that has imported torch, torchvision and fastload.

    ``warnings``: (action, category) pairs, as of -W. ``session``: it leads a session of its own, as one at a terminal does. It is
    killed, and with it its session, where a ``with`` statement is left and it is still there.
    """

    def __init__(
        self,
        code: str,
        *arguments: object,
        warnings: Sequence[tuple[str, str]] = (),
        session: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._session = session
        request = {
            "script": textwrap.dedent(code),
            "arguments": [*map(str, arguments)],
            "warnings": [*warnings],
            "session": session,
            "folder": os.getcwd() if cwd is None else str(cwd),
            "environment": dict(environment() if env is None else env),
        }
        readers, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
        nothing = os.open(os.devnull, os.O_RDONLY)
        socket.send_fds(_zygote(), [json.dumps(request).encode()], [nothing, *theirs])
        for number in (nothing, *theirs):
            os.close(number)
        self.stdout, self.stderr, self._status = (os.fdopen(number, encoding="utf-8") for number in readers)
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        if self.returncode is None:
            self.kill()
            self.wait()
        for stream in (self.stdout, self.stderr, self._status):
            stream.close()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self._session:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.returncode is None:
            with self._limited():
                self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """All that it and those whom it started write until they end, to stdout and to stderr."""
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(self.stderr.read()))
        reader.start()
        with self._limited():
            output = self.stdout.read()
            reader.join()
            self.wait()
        return output, errors[0]

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        late = threading.Timer(LIMIT, self.kill)
        late.start()
        try:
            yield
        finally:
            late.cancel()
            late.join()


def run_script(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """A script to its end."""
    with Script(code, *arguments, **options) as script:
        output, errors = script.communicate()
        return subprocess.CompletedProcess(code, script.wait(), output, errors)


@functools.cache
def _zygote() -> socket.socket:
    """The connection to a zygote.py, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = subprocess.Popen(
        [sys.executable, str(TESTS / "zygote.py"), str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env=environment(OPENBLAS_NUM_THREADS="1"),
    )
    theirs.close()

    def end() -> None:
        ours.close()
        zygote.kill()
        zygote.wait()

    atexit.register(end)
    return ours
