"""The engine's Python side: its threads, its memory, the samples that it is asked for."""

from fastload._core import Engine
from fastload.engine.background_threads import BackgroundThread, Cancellation, end_first
from fastload.engine.batch_memory import BatchMemory, pins
from fastload.engine.batch_samples import BatchSamples, pixel_limit, stand_in_indices
from fastload.engine.cache_room import check_cache_bytes
from fastload.engine.cpu_share import share_of_cores, thread_count
from fastload.engine.dataset_items import ItemLists, Items, asked_for, finished_tensor
from fastload.engine.file_dataset import (
    FileDataset,
    Find,
    file_dataset_of,
    gives_its_files,
    is_of_images,
    items_of_files,
    names_files,
    why_items_differ,
)
from fastload.engine.freed_memory import keep_freed_memory
from fastload.engine.process_forks import Lender, is_forking, tell_of_forks
from fastload.engine.random_generators import (
    GeneratorStates,
    as_they_were,
    drawing,
    from_torch,
    streams_from_json,
    streams_to_json,
    undone,
)
from fastload.engine.sample_cache import KINDS as CACHES
from fastload.engine.sample_cache import SampleCache, describe_cache
from fastload.engine.sample_places import places_here, written_to
from fastload.engine.sample_sources import (
    ByteRange,
    CheckedRange,
    Encoded,
    FileState,
    SampleSource,
    ask_for,
    engine_form_of,
    file_of,
    load_sample,
    name_of,
    opens,
    require_file,
)
from fastload.engine.storage_holders import as_tensors_have_it, can_tell, is_as_it_was, is_held, is_of_one_tensor
from fastload.engine.thread_finder import ThreadFinder, finder_for, thread_figures
from fastload.engine.thread_pools import AtWork, engine_of
from fastload.engine.timm_datasets import is_of_timm, timm_files_of

__all__ = [
    "CACHES",
    "AtWork",
    "BackgroundThread",
    "BatchMemory",
    "BatchSamples",
    "ByteRange",
    "Cancellation",
    "CheckedRange",
    "Encoded",
    "Engine",
    "FileDataset",
    "FileState",
    "Find",
    "GeneratorStates",
    "ItemLists",
    "Items",
    "Lender",
    "SampleCache",
    "SampleSource",
    "ThreadFinder",
    "as_tensors_have_it",
    "as_they_were",
    "ask_for",
    "asked_for",
    "can_tell",
    "check_cache_bytes",
    "describe_cache",
    "drawing",
    "end_first",
    "engine_form_of",
    "engine_of",
    "file_dataset_of",
    "file_of",
    "finder_for",
    "finished_tensor",
    "from_torch",
    "gives_its_files",
    "is_as_it_was",
    "is_forking",
    "is_held",
    "is_of_images",
    "is_of_one_tensor",
    "is_of_timm",
    "items_of_files",
    "keep_freed_memory",
    "load_sample",
    "name_of",
    "names_files",
    "opens",
    "pins",
    "pixel_limit",
    "places_here",
    "require_file",
    "share_of_cores",
    "stand_in_indices",
    "streams_from_json",
    "streams_to_json",
    "tell_of_forks",
    "thread_count",
    "thread_figures",
    "timm_files_of",
    "undone",
    "why_items_differ",
    "written_to",
]
