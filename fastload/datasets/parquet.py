"""Images in Parquet and Arrow files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastload.datasets.exclude_lists import Exclude
from fastload.datasets.sharded_images import ShardedImages
from fastload.shards import index_parquet, parquet_files


class Parquet(ShardedImages):
    """Images in Parquet or Arrow files (IPC files, and the streams that ``datasets`` keeps).

    Args:
        files: a file, a folder, a pattern with ``*`` or ``{00..07}``, or several of these, also URLs; a folder and ``*`` in order
            of name.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        image: name of the column: binary, or ``struct<bytes: binary, path: string>``, as ``datasets.Image`` stores it. Where
            ``bytes`` is null the file at ``path`` is read, counted from the folder of the Parquet file.
        target: name of the column: integers (a null is -1), text, or what JSON can say; None for images alone. A file of one column
            has no targets.
        exclude: names of samples that are left out, or a file of names, one a line.

    A sample's name is its path, where the file has distinct ones, else the file's stem and the row: ``train-00000007``.

    Where the images lie uncompressed, as ``datasets`` and :func:`fastload.write_parquet` write them, they are read from the file
    itself. Others are unpacked once into the user's cache folder, which takes their size there.

    Needs ``pip install 'fastload-torch[parquet]'``, for the index; once that is there pyarrow is not imported.

    Raises ValueError for columns that are not there or not of images, and for damaged files; OSError; ImportError.
    """

    def __init__(
        self,
        files: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        image: str = "image",
        target: str | None = "label",
        *,
        exclude: Exclude = None,
    ) -> None:
        index = index_parquet(parquet_files(files), image, target)
        super().__init__(index, transform, target_transform, exclude=exclude)
