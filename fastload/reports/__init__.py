"""What went wrong and what it cost: errors, and statistics of an epoch."""

from fastload.reports.errors import (
    DecodeError,
    FastloadError,
    FastloadWarning,
    NotNative,
    NotNativeError,
    ReadError,
    SampleError,
    TooManyErrors,
    TransformError,
    kind_of,
    sample_error,
)
from fastload.reports.failed_samples import Ledger, Tolerance, checked_max_errors
from fastload.reports.job_file import JobFile, is_private, job_folders, own_job_file, stale_files, start_time
from fastload.reports.optional_libraries import needs
from fastload.reports.own_counts import REMOTE, counted_in, counts_by_epoch, remote_counts
from fastload.reports.printable_text import printable, printable_errors
from fastload.reports.progress_line import ProgressLine
from fastload.reports.statistics import Statistics

__all__ = [
    "REMOTE",
    "DecodeError",
    "FastloadError",
    "FastloadWarning",
    "JobFile",
    "Ledger",
    "NotNative",
    "NotNativeError",
    "ProgressLine",
    "ReadError",
    "SampleError",
    "Statistics",
    "Tolerance",
    "TooManyErrors",
    "TransformError",
    "checked_max_errors",
    "counted_in",
    "counts_by_epoch",
    "is_private",
    "job_folders",
    "kind_of",
    "needs",
    "own_job_file",
    "printable",
    "printable_errors",
    "remote_counts",
    "sample_error",
    "stale_files",
    "start_time",
]
