"""Data sets, and finding the files that they name."""

from fastload.datasets.excluded_names import excluded_names, name_line
from fastload.datasets.find_sample import Located, locate
from fastload.datasets.hugging_face import from_hf
from fastload.datasets.image_files import ImageFiles
from fastload.datasets.image_folder import ImageFolder
from fastload.datasets.parquet import Parquet
from fastload.datasets.sharded_images import ShardedImages

__all__ = [
    "ImageFiles",
    "ImageFolder",
    "Located",
    "Parquet",
    "ShardedImages",
    "excluded_names",
    "from_hf",
    "locate",
    "name_line",
]
