"""A process that has imported what tests' scripts import, and forks itself for each that children.py sends: imports take seconds.

Each script is the ``__main__`` of a process of its own, with the arguments, environment, folder and streams that were asked for,
and ends as the interpreter ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import warnings

import torch
import torch.utils.data


def serve(server: socket.socket) -> dict:
    """Forks for each request, with which come three streams and a pipe for the status; returns in a script's process only."""
    while True:
        message, given, _, _ = socket.recv_fds(server, 1 << 20, 4)
        if not message:  # who started this is no more
            os._exit(0)
        if os.fork() == 0:
            server.close()
            return fork_watched(json.loads(message), *given)
        for number in given:
            os.close(number)
        os.wait()


def fork_watched(request: dict, *given: int) -> dict:
    """Forks twice: the first to wait for the second, whose number and status it tells."""
    *streams, status = given
    if os.fork():
        os._exit(0)
    child = os.fork()
    if child:
        for number in (0, 1, 2, *streams):
            os.close(number)
        os.write(status, b"%d\n" % child)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    os.close(status)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return request


def become(request: dict) -> None:
    """What an interpreter would have been started with."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv[:] = ["-c", *request["arguments"]]
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for action, category in request["warnings"]:
        warnings.simplefilter(action, getattr(__import__("builtins"), category))


if __name__ == "__main__":
    for _name in ("torchvision.datasets", "torchvision.transforms.v2", "fastload.loader", "fastload.stateful"):
        importlib.import_module(_name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for whoever started this
    gc.freeze()
    _request = serve(socket.socket(fileno=int(sys.argv[1])))
    become(_request)
    del __file__
    exec(compile(_request["script"], "<string>", "exec"))
