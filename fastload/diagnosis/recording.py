"""A script's process under ``fastload profile``: the recorder goes in when the first loader is iterated over."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

from fastload.diagnosis.session import FOLDER_VARIABLE, OVER, SETTINGS
from fastload.diagnosis.shared_recording import SharedRecording, begun, expect
from fastload.installation import when_imported
from fastload.processes import with_startup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def record_with_torch(folder: str) -> None:
    """From the import of torch's loader on, also in the processes that ``multiprocessing`` and torch's launcher start."""
    when_imported("torch.utils.data.dataloader", lambda: _record_at_first_use(folder))
    when_imported("multiprocessing.process", lambda: _tell_children(folder))
    for launcher in ("torch.distributed.elastic.multiprocessing", "accelerate.commands"):
        when_imported(launcher, lambda: _tell_launched(folder))
    for package in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
        launcher = f"{package}.strategies.launchers.subprocess_script"
        when_imported(launcher, functools.partial(_tell_ranks_of_lightning, launcher, folder))


def _record_at_first_use(folder: str) -> None:
    # torch itself is still being imported: the recorder comes with the first loader that is iterated over.
    kind = sys.modules["torch.utils.data.dataloader"].DataLoader
    original = kind.__iter__

    def begin() -> bool:
        if kind.__iter__ is not first:
            return False
        kind.__iter__ = original
        _record(folder)
        return True

    def first(loader: Any) -> Any:
        return kind.__iter__(loader) if begin() else original(loader)

    kind.__iter__ = first
    expect(begin)


def _record(folder: str) -> None:
    import atexit
    import contextlib
    import time

    from fastload.diagnosis.interrupt_in_pause import let_it_go_by
    from fastload.diagnosis.spare_process import stand_by
    from fastload.diagnosis.step_recorder import StepRecorder

    try:
        settings = json.loads((Path(folder) / SETTINGS).read_text())
    except FileNotFoundError:  # whoever supervised the run was killed
        return
    if "tune" in settings:
        from fastload.diagnosis.tuning_loop import TuningLoop

        TuningLoop(folder, settings["tune"]).install()
        return

    def over() -> None:
        if settings["experiments"]:
            let_it_go_by(folder)
        draft = Path(folder) / f"over-{os.getpid()}"
        with contextlib.suppress(OSError):
            draft.write_text(str(time.perf_counter()))
            draft.rename(Path(folder) / OVER)

    recorder = StepRecorder(
        folder,
        settings["seconds"],
        settings["steps"],
        met=lambda loader, number: stand_by(folder, loader, number, recorder.leave)
        if settings["experiments"]
        else None,
        over=over,
    )
    recorder.install()
    begun(SharedRecording(Path(folder), recorder, recorder.stop_when_over))
    atexit.register(recorder.stop)


def _tell_launched(folder: str) -> None:
    # By torchrun or accelerate, one of which this process then is: others do not import that. Its ranks are interpreters of
    # their own.
    os.environ[FOLDER_VARIABLE] = folder
    os.environ["PYTHONPATH"] = with_startup(os.environ.get("PYTHONPATH"))


def _tell_ranks_of_lightning(launcher: str, folder: str) -> None:
    # Rank 0 is the script itself, which starts the others as it was started; nothing else that it starts is told.
    kind = sys.modules[launcher]._SubprocessScriptLauncher
    original = kind._call_children_scripts

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = {name: os.environ.get(name) for name in (FOLDER_VARIABLE, "PYTHONPATH")}
        _tell_launched(folder)
        try:
            return original(self, *args, **kwargs)
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    kind._call_children_scripts = call


def _tell_children(folder: str) -> None:
    # Spawned and forkserver processes unpickle their parent's configuration, after the script's imports.
    sys.modules["multiprocessing.process"].current_process()._config["fastload_profile"] = _Arriving(folder)


class _Arriving:
    """Pickled in one process, it records the other."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return _arrive, (self._folder,)


def _arrive(folder: str) -> _Arriving:
    if Path(folder).exists():
        record_with_torch(folder)
    return _Arriving(folder)
