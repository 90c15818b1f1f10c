"""The engine's Python side: its threads, its memory, the samples that it is asked for."""

from fastload._core import Engine
from fastload.engine.background_threads import BackgroundThread, Cancellation, end_first
from fastload.engine.batch_memory import BatchMemory, pins
from fastload.engine.batch_samples import BatchSamples, pixel_limit, stand_in_indices
from fastload.engine.cache_room import check_cache_bytes
from fastload.engine.control_groups import limiting_groups, unescaped
from fastload.engine.cpu_share import cpu_quota, share_of_cores, usable_cores
from fastload.engine.dataset_items import ItemLists, Items, asked_for
from fastload.engine.file_dataset import (
    FileDataset,
    file_dataset_of,
    gives_its_files,
    is_of_images,
    items_of_files,
    names_files,
    why_items_differ,
)
from fastload.engine.random_generators import (
    GeneratorStates,
    as_they_were,
    drawing,
    torch_state_from_json,
    torch_state_to_json,
)
from fastload.engine.sample_cache import KINDS as CACHES
from fastload.engine.sample_cache import SampleCache, describe_cache
from fastload.engine.sample_sources import (
    ByteRange,
    CheckedRange,
    Encoded,
    SampleSource,
    ask_for,
    engine_form_of,
    file_of,
    load_sample,
    name_of,
    opens,
)
from fastload.engine.thread_pools import AtWork, engine_of

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
    "GeneratorStates",
    "ItemLists",
    "Items",
    "SampleCache",
    "SampleSource",
    "as_they_were",
    "ask_for",
    "asked_for",
    "check_cache_bytes",
    "cpu_quota",
    "describe_cache",
    "drawing",
    "end_first",
    "engine_form_of",
    "engine_of",
    "file_dataset_of",
    "file_of",
    "gives_its_files",
    "is_of_images",
    "items_of_files",
    "limiting_groups",
    "load_sample",
    "name_of",
    "names_files",
    "opens",
    "pins",
    "pixel_limit",
    "share_of_cores",
    "stand_in_indices",
    "torch_state_from_json",
    "torch_state_to_json",
    "unescaped",
    "usable_cores",
    "why_items_differ",
]
