"""Where the samples of shards are: indexes of archives, records, databases and tables; and writing such files."""

from fastload.shards.index_file import BadIndexError
from fastload.shards.index_place import cache_folder, kept_index
from fastload.shards.record import Record
from fastload.shards.sample_index import SampleColumns, SampleIndex, Shard

__all__ = [
    "BadIndexError",
    "Record",
    "SampleColumns",
    "SampleIndex",
    "Shard",
    "cache_folder",
    "kept_index",
]
