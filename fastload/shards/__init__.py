"""Where the samples of shards are: indexes of archives, records, databases and tables; and writing such files."""

from fastload.shards.arrow_tables import table_index
from fastload.shards.index_file import BadIndexError
from fastload.shards.index_place import cache_folder, kept_index
from fastload.shards.parquet_index import index_parquet, looks_like_parquet, parquet_files
from fastload.shards.parquet_writer import write_parquet
from fastload.shards.record import Record
from fastload.shards.sample_index import SampleColumns, SampleIndex, Shard

__all__ = [
    "BadIndexError",
    "Record",
    "SampleColumns",
    "SampleIndex",
    "Shard",
    "cache_folder",
    "index_parquet",
    "kept_index",
    "looks_like_parquet",
    "parquet_files",
    "table_index",
    "write_parquet",
]
