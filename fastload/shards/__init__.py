"""Where the samples of shards are: indexes of archives, records, databases and tables; and writing such files."""

from fastload.shards.arrow_tables import table_index
from fastload.shards.damage import Damage
from fastload.shards.foreign_indexes import ForeignIndexError, check_foreign_index, write_foreign_index
from fastload.shards.index_file import BadIndexError, SelfChecked, read_parts, write_index
from fastload.shards.index_place import cache_folder, kept_index
from fastload.shards.lmdb_index import find_lmdb, holds_lmdb, index_lmdb
from fastload.shards.lmdb_writer import write_lmdb
from fastload.shards.new_file import remove_unfinished
from fastload.shards.parquet_index import index_parquet, looks_like_parquet, parquet_files
from fastload.shards.parquet_writer import write_parquet
from fastload.shards.record import Record
from fastload.shards.sample_index import SampleColumns, SampleIndex, Shard
from fastload.shards.shard_paths import STANDARD_INPUT, is_url, shard_list
from fastload.shards.tar_index import (
    IMAGES,
    TarError,
    TarFields,
    index_tars,
    looks_like_tar,
    summary_of,
    target_of_tars,
    unclosed,
)
from fastload.shards.tar_stream import LeftOut, StreamSample, stream_tar
from fastload.shards.tar_writer import write_tar
from fastload.shards.tfrecord_files import find_tfrecords, holds_tfrecords
from fastload.shards.tfrecord_index import index_tfrecords, read_tfrecords
from fastload.shards.tfrecord_records import compression_of
from fastload.shards.tfrecord_writer import write_tfrecord
from fastload.shards.whole_sets import (
    PLAN,
    REPORT,
    UNFINISHED,
    UnfinishedConversionError,
    reading_own_conversion,
    refuse_unfinished,
)

__all__ = [
    "IMAGES",
    "PLAN",
    "REPORT",
    "STANDARD_INPUT",
    "UNFINISHED",
    "BadIndexError",
    "Damage",
    "ForeignIndexError",
    "LeftOut",
    "Record",
    "SampleColumns",
    "SampleIndex",
    "SelfChecked",
    "Shard",
    "StreamSample",
    "TarError",
    "TarFields",
    "UnfinishedConversionError",
    "cache_folder",
    "check_foreign_index",
    "compression_of",
    "find_lmdb",
    "find_tfrecords",
    "holds_lmdb",
    "holds_tfrecords",
    "index_lmdb",
    "index_parquet",
    "index_tars",
    "index_tfrecords",
    "is_url",
    "kept_index",
    "looks_like_parquet",
    "looks_like_tar",
    "parquet_files",
    "read_parts",
    "read_tfrecords",
    "reading_own_conversion",
    "refuse_unfinished",
    "remove_unfinished",
    "shard_list",
    "stream_tar",
    "summary_of",
    "table_index",
    "target_of_tars",
    "unclosed",
    "write_foreign_index",
    "write_index",
    "write_lmdb",
    "write_parquet",
    "write_tar",
    "write_tfrecord",
]
