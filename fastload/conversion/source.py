"""What lies at a path, recognised by looking at it, as a list of samples."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

from fastload.conversion.errors import RefusedError
from fastload.conversion.sample_lists import FolderSamples, IndexedSampleList, SampleList
from fastload.datasets import ShardedImages, kind_of_source
from fastload.remote import is_remote
from fastload.shards import SampleIndex, compression_of, find_tfrecords, read_tfrecords


def open_source(src: Any, exclude: Iterable[str] = ()) -> SampleList:
    """The samples of a source.

    Args:
        src: a folder, shards, or a pattern of them.
        exclude: names of samples that are left out.

    Raises:
        RefusedError: nothing that could be read.
    """
    is_folder = isinstance(src, str | os.PathLike) and os.path.isdir(src)
    try:
        kind = kind_of_source(src)
    except FileNotFoundError as error:
        raise RefusedError(str(error)) from error
    except ValueError as error:
        if not is_folder:
            raise RefusedError(str(error)) from error
        return FolderSamples(os.fspath(src), exclude)  # of images, without classes
    if kind.name == "folder":
        return FolderSamples(os.fspath(src), exclude)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            packed = _packed_index(src) if kind.name == "tfrecord" else None
            dataset = kind.open(src) if packed is None else ShardedImages(packed)
        except (ValueError, OSError, TypeError) as error:
            raise RefusedError(f"{src} cannot be read: {error}") from error
    if not isinstance(dataset, ShardedImages):
        raise RefusedError(f"{src}: {kind.name} is nothing that can be converted")
    samples = IndexedSampleList(dataset.samples.sample_index, kind.name, exclude)
    samples.left_out = [str(warning.message) for warning in told]
    return samples


def _packed_index(src: Any) -> SampleIndex | None:
    """Of TFRecord files some of which are compressed. They are read in the order of their records, as parts are written."""
    files = find_tfrecords(src)
    if not any(compression_of(file) for file in files if not is_remote(file)):
        return None
    return read_tfrecords(files, "image/encoded", "image/class/label")
