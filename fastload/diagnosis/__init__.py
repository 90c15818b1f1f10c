"""Where a job's time goes, what the machine and an installation get wrong, what it costs, and what mends it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastload.diagnosis.examination import Examination, examine, gather
    from fastload.diagnosis.profiling import profile
    from fastload.diagnosis.recording import record_with_torch
    from fastload.diagnosis.supervision import end_as, supervise

# Where each name lives. It is imported when it is first asked for: a script under `fastload profile` starts without torch.
_HOMES = {
    "Examination": "examination",
    "end_as": "supervision",
    "examine": "examination",
    "gather": "examination",
    "profile": "profiling",
    "record_with_torch": "recording",
    "supervise": "supervision",
}

__all__ = ["Examination", "end_as", "examine", "gather", "profile", "record_with_torch", "supervise"]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'fastload.diagnosis' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"fastload.diagnosis.{_HOMES[name]}"), name)
