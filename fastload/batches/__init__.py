"""Batches in the order, with the random numbers and with the errors of torch's loader."""

from fastload.batches.explain_line import say_how
from fastload.batches.loader_cache import cache_figures, cache_for, cache_lines, check_cache
from fastload.batches.loader_options import check_options
from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.native_or_stock import Mode, Way, choose
from fastload.batches.native_requirement import require_native
from fastload.batches.not_native_reasons import further_lines, not_native_error
from fastload.batches.pending_batch import PendingBatch
from fastload.batches.published_figures import loader_figures
from fastload.batches.stock_iterator import iterate_as_torch
from fastload.batches.thread_iterator import ThreadIterator
from fastload.batches.worker_iterator import iterate_in_workers
from fastload.batches.worker_state import after_the_end

__all__ = [
    "LoaderSettings",
    "Mode",
    "PendingBatch",
    "ThreadIterator",
    "Way",
    "after_the_end",
    "cache_figures",
    "cache_for",
    "cache_lines",
    "check_cache",
    "check_options",
    "choose",
    "further_lines",
    "iterate_as_torch",
    "iterate_in_workers",
    "loader_figures",
    "not_native_error",
    "require_native",
    "say_how",
]
