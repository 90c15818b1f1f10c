"""Where a job's time goes, what the machine and an installation get wrong, what it costs, and what mends it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastload.diagnosis.examination import Examination, examine, gather
    from fastload.diagnosis.gpu_now import Gpus
    from fastload.diagnosis.job_watch import JobWatch
    from fastload.diagnosis.monitor_page import page
    from fastload.diagnosis.profiling import profile
    from fastload.diagnosis.recording import record_with_torch
    from fastload.diagnosis.side_by_side import SideBySide
    from fastload.diagnosis.stats_logging import lightning_callback, log_stats, stats_figures, trainer_callback
    from fastload.diagnosis.supervision import end_as, supervise

# Where each name lives. It is imported when it is first asked for: a script under `fastload profile` starts without torch, and a
# command needs one of them and the libraries under it.
_HOMES = {
    "Examination": "examination",
    "Gpus": "gpu_now",
    "JobWatch": "job_watch",
    "SideBySide": "side_by_side",
    "end_as": "supervision",
    "examine": "examination",
    "gather": "examination",
    "lightning_callback": "stats_logging",
    "log_stats": "stats_logging",
    "page": "monitor_page",
    "profile": "profiling",
    "record_with_torch": "recording",
    "stats_figures": "stats_logging",
    "supervise": "supervision",
    "trainer_callback": "stats_logging",
}

__all__ = [
    "Examination",
    "Gpus",
    "JobWatch",
    "SideBySide",
    "end_as",
    "examine",
    "gather",
    "lightning_callback",
    "log_stats",
    "page",
    "profile",
    "record_with_torch",
    "stats_figures",
    "supervise",
    "trainer_callback",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'fastload.diagnosis' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"fastload.diagnosis.{_HOMES[name]}"), name)
