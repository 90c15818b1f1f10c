"""What the machine, an installation or a running job gets wrong, what it costs, and what mends it."""

from fastload.diagnosis.examination import Examination, examine, gather

__all__ = ["Examination", "examine", "gather"]
