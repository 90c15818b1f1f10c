"""Images in LMDB databases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from fastload.datasets.exclude_lists import Exclude
from fastload.datasets.sharded_images import ShardedImages
from fastload.engine import names_files
from fastload.shards import find_lmdb, index_lmdb


class LMDB(ShardedImages):
    """Encoded images in LMDB databases, read in any order.

    liblmdb (``pip install 'fastload-torch[lmdb]'``) finds each value once, in a process of its own; from then on images are read
    from the data file as from any other: by all threads and processes, after a fork, from read-only mounts, and larger than memory.
    No lock file is made. A database that has changed is indexed again; while one is written to it must not be read (a
    FastloadWarning says so).

    Args:
        path: a database's folder or file, a pattern, a folder of databases, or several of these. Of several without targets each is
            a class, named as its folder without ``_lmdb``, as LSUN's are.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        read: for values of a layout that is not known: a function of ``(key, value)``, bytes and memoryview, that returns
            ``(encoded image, target)``, or None for what is no sample; or two functions, the first of a mapping of all keys and
            values, that returns the keys that are samples in their order. It is called for every value when the data set is made,
            and again when a sample is read only where the image is not as it is within the value. For pickles that you trust:
            ``read=lambda key, value: None if key.startswith(b"__") else pickle.loads(value)``.
        database: the name of a database within the file; None: the main one.
        exclude: names of samples that are left out, or a file of names, one a line.

    Known layouts: what ``fastload.shards.write_lmdb`` writes; values that are images (LSUN, BasicSR; keys that are numbers are in
    the order of these); ``num-samples`` with ``image-000000001`` and ``label-000000001`` (targets are str); Caffe's Datum with an
    encoded image.

    Items are ``(image, target)``, or ``image`` where there are no targets.

    Raises:
        ValueError: a damaged file, or an unknown layout; pickles are never loaded.
        ImportError: without the package ``lmdb``.
        OSError: a file that cannot be read.

    Attributes:
        classes, class_to_idx: as ImageFolder has them; empty where the database names none.
        facts: what was found: ``layout``, ``classes``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        *,
        read: Any = None,
        database: str | None = None,
        exclude: Exclude = None,
        **other: Any,
    ) -> None:
        if other:
            raise TypeError(
                f"LMDB takes no {next(iter(other))}=: a database has no columns. What of a value is the image and what the target "
                "is told by looking; for a layout that is not known give read=, a function of (key, value) that returns both"
            )
        index = index_lmdb(find_lmdb(path), database, read)
        super().__init__(index, transform, target_transform, exclude=exclude)
        self.facts = index.facts


names_files(LMDB)
