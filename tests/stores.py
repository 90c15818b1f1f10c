"""An object store of a test: a process of its own on 127.0.0.1, with a folder of images, that can be told to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import children

SERVER = Path(__file__).resolve().parents[1] / "benchmarks" / "formats" / "object_server.py"
# What would send requests elsewhere, or sign them as somebody.
_ELSEWHERE = (
    "AWS_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HF_",
    "FASTLOAD_REMOTE",
)


def stay_here(patch: pytest.MonkeyPatch, *more: str) -> None:
    """No variable is set that sends requests elsewhere or signs them, nor one whose name begins with one of ``more``."""
    for name in list(os.environ):
        if name.startswith((*_ELSEWHERE, *more)):
            patch.delenv(name)


class ObjectServer:
    """Serves ``folder/bucket/key``; ``arguments``: of the server's own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), str(folder), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=children.environment(),
        )
        assert self._process.stdout is not None
        self.http = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def fails(self, *rules: dict[str, Any]) -> None:
        """From now on, and counts anew."""
        self._ask("PUT", json.dumps(rules).encode())

    def counts(self) -> dict[str, int]:
        return self._ask("GET")

    def _ask(self, method: str, body: bytes | None = None) -> Any:
        path = "/-/faults" if method == "PUT" else "/-/counts"
        asked = urllib.request.Request(self.http + path, data=body, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
