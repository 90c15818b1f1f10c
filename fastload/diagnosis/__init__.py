"""Where a job's time goes, what the machine and an installation get wrong, what it costs, and what mends it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastload.diagnosis.comparison_chart import comparison_bars, comparison_picture
    from fastload.diagnosis.examination import Examination, examine, gather
    from fastload.diagnosis.gpu_now import Gpus
    from fastload.diagnosis.job_watch import JobWatch
    from fastload.diagnosis.made_photos import make_photos
    from fastload.diagnosis.monitor_page import page
    from fastload.diagnosis.profiling import profile
    from fastload.diagnosis.recording import record_with_torch
    from fastload.diagnosis.side_by_side import Comparison, SideBySide, data_sets
    from fastload.diagnosis.side_by_side_size import size_for
    from fastload.diagnosis.stats_logging import lightning_callback, log_stats, stats_figures, trainer_callback
    from fastload.diagnosis.supervision import end_as, supervise
    from fastload.diagnosis.tuning_report import file_text, tuning_json, tuning_text
    from fastload.diagnosis.tuning_supervision import tune

# Where each name lives. It is imported when it is first asked for: a script under `fastload profile` starts without torch, and a
# command needs one of them and the libraries under it.
_HOMES = {
    "Comparison": "side_by_side",
    "Examination": "examination",
    "Gpus": "gpu_now",
    "JobWatch": "job_watch",
    "SideBySide": "side_by_side",
    "comparison_bars": "comparison_chart",
    "comparison_picture": "comparison_chart",
    "data_sets": "side_by_side",
    "end_as": "supervision",
    "examine": "examination",
    "file_text": "tuning_report",
    "gather": "examination",
    "lightning_callback": "stats_logging",
    "log_stats": "stats_logging",
    "make_photos": "made_photos",
    "page": "monitor_page",
    "profile": "profiling",
    "record_with_torch": "recording",
    "size_for": "side_by_side_size",
    "stats_figures": "stats_logging",
    "supervise": "supervision",
    "trainer_callback": "stats_logging",
    "tune": "tuning_supervision",
    "tuning_json": "tuning_report",
    "tuning_text": "tuning_report",
}

__all__ = [
    "Comparison",
    "Examination",
    "Gpus",
    "JobWatch",
    "SideBySide",
    "comparison_bars",
    "comparison_picture",
    "data_sets",
    "end_as",
    "examine",
    "file_text",
    "gather",
    "lightning_callback",
    "log_stats",
    "make_photos",
    "page",
    "profile",
    "record_with_torch",
    "size_for",
    "stats_figures",
    "supervise",
    "trainer_callback",
    "tune",
    "tuning_json",
    "tuning_text",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'fastload.diagnosis' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"fastload.diagnosis.{_HOMES[name]}"), name)
