"""How far an epoch is, saved and loaded."""

from fastload.resume.epoch_log import EpochLog
from fastload.resume.epoch_progress import Progress
from fastload.resume.keeps_progress import KeepsProgress, outliving
from fastload.resume.sampling import Sampling
from fastload.resume.saved_state import state_of
from fastload.resume.state_checks import check, in_the_middle
from fastload.resume.stateful_protocol import keeps_state

__all__ = [
    "EpochLog",
    "KeepsProgress",
    "Progress",
    "Sampling",
    "check",
    "in_the_middle",
    "keeps_state",
    "outliving",
    "state_of",
]
