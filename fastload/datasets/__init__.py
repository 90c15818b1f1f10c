"""Data sets, and finding the files that they name."""

from fastload.datasets.exclude_lists import Exclude, excluded_names, name_line, warn_of_unknown
from fastload.datasets.find_sample import Located, locate
from fastload.datasets.hugging_face import from_hf
from fastload.datasets.image_files import ImageFiles
from fastload.datasets.image_folder import ImageFolder
from fastload.datasets.lmdb import LMDB
from fastload.datasets.parquet import Parquet
from fastload.datasets.sample_names import sample_name
from fastload.datasets.sample_table import SampleTable
from fastload.datasets.sharded_images import IndexedSamples, ShardedImages
from fastload.datasets.source_kinds import KINDS, SourceKind, kind_of_source, open_source
from fastload.datasets.tfrecord import TFRecord
from fastload.datasets.web_dataset import WebDataset

__all__ = [
    "KINDS",
    "LMDB",
    "Exclude",
    "ImageFiles",
    "ImageFolder",
    "IndexedSamples",
    "Located",
    "Parquet",
    "SampleTable",
    "ShardedImages",
    "SourceKind",
    "TFRecord",
    "WebDataset",
    "excluded_names",
    "from_hf",
    "kind_of_source",
    "locate",
    "name_line",
    "open_source",
    "sample_name",
    "warn_of_unknown",
]
