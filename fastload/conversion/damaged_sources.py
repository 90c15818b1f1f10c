"""Opens a source that is to be verified: what is bad in its shards is told, and the rest is opened all the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from fastload.datasets import Exclude, ShardedImages, SourceKind, kind_of_source
from fastload.remote import is_remote, redacted
from fastload.reports import printable
from fastload.shards import Damage, UnfinishedConversionError, find_tfrecords, read_tfrecords

# From a source to its data set, and what is bad in it.
_Open = Callable[[Any], tuple[Any, list[Damage]]]


def open_damaged(src: Any, **options: Any) -> tuple[Any, list[Damage]]:
    """The data set of what can be read, None where nothing can, and what is bad.

    TFRecords are read past bad records, with all checksums. Of a tar that is cut or damaged there are the samples before that.
    Other shards are there as a whole or not.

    Args:
        src: as of :func:`fastload.datasets.open_source`.
        options: of the data set's class.

    Raises what the class does where no single shard is to blame, or the options are.
    """
    kind = kind_of_source(src)
    way = {"tar": _tars, "tfrecord": _tfrecords}.get(kind.name, _whole)
    opened: _Open = partial(way, kind, options)
    try:
        return opened(src)
    except UnfinishedConversionError:
        raise
    except (ValueError, OSError) as error:
        files, good, bad = kind.files(src), [], []
        for file in files:
            alone = _error_of(opened, file) if len(files) > 1 else error
            if alone is None:
                good.append(file)
            else:
                bad.append(Damage(redacted(file) if is_remote(file) else file, None, printable(str(alone))))
        if not bad or (options and not good):
            raise
        dataset, damage = opened(good) if good else (None, [])
        return dataset, bad + damage


def _error_of(opened: _Open, file: str) -> Exception | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened(file)
        except (ValueError, OSError) as error:
            return error
    return None


def _whole(kind: SourceKind, options: dict[str, Any], src: Any) -> tuple[Any, list[Damage]]:
    return kind.open(src, **options), []


def _tars(kind: SourceKind, options: dict[str, Any], src: Any) -> tuple[Any, list[Damage]]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        dataset = kind.open(src, **{"on_damage": "warn", **options})
    index = dataset.samples.sample_index
    damage = [
        Damage(shard.shown, facts["damaged_at"], facts["damage"])
        for shard, facts in zip(index.shards, index.facts["shards"], strict=True)
        if "damage" in facts
    ]
    told = {one.reason for one in damage}
    for warning in heard:
        if str(warning.message) not in told:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return dataset, damage


def _tfrecords(kind: SourceKind, options: dict[str, Any], src: Any) -> tuple[Any, list[Damage]]:
    return _records(src, **options)


def _records(
    src: Any,
    image: str = "image/encoded",
    target: str | None = "image/class/label",
    *,
    check: str = "first",
    label_base: int | None = None,
    exclude: Exclude = None,
) -> tuple[Any, list[Damage]]:
    """``check`` is for the data set: here all are looked at."""
    damage: list[Damage] = []
    index = read_tfrecords(find_tfrecords(src), image, target, label_base, damage)
    return ShardedImages(index, exclude=exclude), damage
