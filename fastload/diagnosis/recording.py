"""A script's process under ``fastload profile``: the recorder goes in when the first loader is iterated over."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fastload.installation import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SETTINGS = "settings.json"


def record_with_torch(folder: str) -> None:
    """From the import of torch's loader on, also in the processes that ``multiprocessing`` starts."""
    when_imported("torch.utils.data.dataloader", lambda: _record_at_first_use(folder))
    when_imported("multiprocessing.process", lambda: _tell_children(folder))


def _record_at_first_use(folder: str) -> None:
    # torch itself is still being imported: the recorder comes with the first loader that is iterated over.
    kind = sys.modules["torch.utils.data.dataloader"].DataLoader
    original = kind.__iter__

    def first(loader: Any) -> Any:
        if kind.__iter__ is first:
            kind.__iter__ = original
            _record(folder)
            return kind.__iter__(loader)
        return original(loader)

    kind.__iter__ = first


def _record(folder: str) -> None:
    import atexit

    from fastload.diagnosis.spare_process import stand_by
    from fastload.diagnosis.step_recorder import StepRecorder

    settings = json.loads((Path(folder) / SETTINGS).read_text())
    recorder = StepRecorder(
        folder,
        settings["seconds"],
        settings["steps"],
        met=lambda loader, number: stand_by(folder, loader, number, recorder.leave)
        if settings["experiments"]
        else None,
        over=(Path(folder) / "over").touch,
    )
    recorder.install()
    atexit.register(recorder.stop)


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
