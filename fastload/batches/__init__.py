"""Batches in the order, with the random numbers and with the errors of torch's loader."""

from fastload.batches.loader_cache import cache_figures, cache_for, cache_lines, check_cache
from fastload.batches.loader_settings import LoaderSettings
from fastload.batches.native_or_stock import Mode, Way, choose
from fastload.batches.not_native_reasons import not_native_error, reasons, warn_if_lost
from fastload.batches.pending_batch import PendingBatch
from fastload.batches.published_figures import loader_figures
from fastload.batches.stock_iterator import keeps_books
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
    "choose",
    "iterate_in_workers",
    "keeps_books",
    "loader_figures",
    "not_native_error",
    "reasons",
    "warn_if_lost",
]
