"""Data sets, and finding the files that they name."""

from fastload.datasets.find_sample import Located, locate
from fastload.datasets.image_files import ImageFiles
from fastload.datasets.image_folder import ImageFolder
from fastload.datasets.sharded_images import ShardedImages

__all__ = [
    "ImageFiles",
    "ImageFolder",
    "Located",
    "ShardedImages",
    "locate",
]
