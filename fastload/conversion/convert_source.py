"""From a source of samples to another format: plan, parts side by side, check, report."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastload.conversion.errors import BadSampleError, RefusedError
from fastload.conversion.folder_writer import check_file_names, file_name, has_class
from fastload.conversion.formats import FORMATS
from fastload.conversion.on_ray import write_on_ray
from fastload.conversion.optimize import Both, Optimize
from fastload.conversion.parts import Part
from fastload.conversion.payloads import Change
from fastload.conversion.plan import Plan, Settings
from fastload.conversion.progress import Counter, Show
from fastload.conversion.read_back import check_read_back
from fastload.conversion.report import report_of, written
from fastload.conversion.sample_lists import Sample, SampleList
from fastload.conversion.shrink import DEFAULT_QUALITY, Shrink
from fastload.conversion.source import open_source
from fastload.datasets import Exclude, excluded_names, warn_of_unknown
from fastload.engine import share_of_cores
from fastload.shards import reading_own_conversion

DEFAULT_SHARD_SIZE = 512_000_000


def convert(
    src: Any,
    dst: str | os.PathLike[str],
    to: str = "webdataset",
    *,
    max_side: int | None = None,
    quality: int | None = None,
    optimize: bool = False,
    shard_size: int = DEFAULT_SHARD_SIZE,
    workers: int | None = None,
    on_error: str = "raise",
    exclude: Exclude = None,
    check: bool = True,
    ray: str | None = None,
    progress: Show | None = None,
) -> dict[str, Any]:
    """Writes the samples of ``src`` to the folder ``dst`` in another format.

    Names, bytes, targets and classes stay as they are. The same source and settings give the same bytes, with any
    number of workers. After an end at any point, also a kill, the same call goes on where it was.

    Args:
        src: what is recognised by looking at it: a folder of class folders, a plain folder of images, or shards.
        dst: a folder that is not there, or empty, or where the same conversion was begun.
        to: "webdataset", "tfrecord", "lmdb", "parquet" or "folder".
        max_side: in pixels; images with a longer side are made smaller; see :class:`fastload.conversion.Shrink`.
        quality: of the JPEG and WebP images that are made smaller.
        optimize: makes JPEGs sequential ones with the same pixels; see :class:`fastload.conversion.Optimize`.
        shard_size: bytes of samples in one file, at most.
        workers: threads; None: this process's share of the cores.
        on_error: a sample that cannot be read: "raise" ends the conversion, "skip" leaves it out and lists it in the report.
        exclude: names of samples that are left out, or a file of names, one a line.
        check: reads all back and compares.
        ray: address of a Ray cluster, as of ``ray.init``, that writes the files; all its machines see ``src`` and ``dst``.
        progress: is called with a :class:`Progress` now and then, in this thread.

    Returns:
        the report, which is left in ``dst`` as ``fastload.json``, with ``seconds`` beside; 0 where all was there.

    Raises:
        RefusedError: source, destination or options do not do; nothing was changed.
        BadSampleError: a sample cannot be read, or its name would lead out of ``dst``.
        ConversionError: a full disk, a failed check and the like.

    Example:
        >>> from fastload.conversion import convert
        >>> report = convert("photos", "photos-tar", workers=4)  # doctest: +SKIP
        >>> report["samples"], report["crc32c_sha256"]  # doctest: +SKIP
        (50000, '5a2e...')
    """
    began = time.monotonic()
    shrink = _checked_options(to, max_side, quality, shard_size, workers, on_error)
    change = Both(shrink, Optimize()) if shrink and optimize else Optimize() if optimize else shrink
    excluded = sorted(excluded_names(exclude))
    samples = open_source(src, excluded)
    warn_of_unknown(exclude, frozenset(excluded), samples.excluded)
    dst = os.path.abspath(dst)
    _check_places(src, dst)
    settings = Settings(
        to=to,
        shard_size=shard_size,
        max_side=max_side,
        quality=shrink.quality if shrink else None,
        optimize=optimize,
        on_error=on_error,
        exclude=hashlib.sha256(repr(excluded).encode("utf-8", "surrogateescape")).hexdigest() if excluded else "",
    )
    job = _Job(samples, Plan(dst, samples, settings), change, workers or share_of_cores(), progress)
    report = job.plan.finished_report()
    if report is not None:
        return {**report, "seconds": 0.0}
    if to == "folder":
        _check_folder_names(samples, job.digits, on_error)
    with job.plan.begun():
        job.write(ray)
        report = report_of(job.plan, samples, check)
        if check:
            job.check(int(report["samples"]))
        job.plan.finish(report)
    return {**report, "seconds": round(time.monotonic() - began, 3)}


@dataclass
class _Job:
    """A conversion at work."""

    samples: SampleList
    plan: Plan
    change: Change | None
    workers: int
    show: Show | None
    digits: int = 0

    def __post_init__(self) -> None:
        self.digits = _digits(self.samples)

    def write(self, ray: str | None) -> None:
        """All parts that are not written yet."""
        counter = self._counter("write")
        parts = []
        for number in range(len(self.plan)):
            rows = self.plan.part(number)
            if self.plan.done(number) is None:
                parts.append(self._part(number, rows))
            else:
                counter.found(len(rows), int(self.samples.sizes[rows.start : rows.stop].sum()))
        if not parts:
            return
        if ray is not None:
            write_on_ray(ray, parts, counter)
            return
        with ThreadPoolExecutor(self.workers) as writers, ThreadPoolExecutor(self.workers) as readers:
            # Where there are not parts enough for all workers, as of a database, they read ahead and hash, or shrink.
            ahead = readers if len(parts) < 2 * self.workers else None
            counter.wait_for(writers.submit(part.write, counter, ahead) for part in parts)

    def check(self, count: int) -> None:
        """Reads all of them back."""
        counter = self._counter("check")
        with reading_own_conversion(self.plan.dst):
            found = open_source(self.plan.dst)
        with ThreadPoolExecutor(1) as thread, ThreadPoolExecutor(self.workers) as readers:
            compare = thread.submit(
                check_read_back,
                found,
                written(self.plan, self.samples),
                count,
                digits=self.digits,
                watch=counter,
                pool=readers,
            )
            counter.wait_for([compare])

    def _part(self, number: int, rows: range) -> Part:
        to, on_error = self.plan.settings.to, self.plan.settings.on_error
        file = FORMATS[to].file(number, len(self.plan))
        samples = _Rows(self.samples, rows)
        return Part(self.plan.dst, number, file, to, samples, self.samples.classes, self.digits, self.change, on_error)

    def _counter(self, step: str) -> Counter:
        return Counter(step, len(self.samples), int(self.samples.sizes.sum()), self.show)


def _checked_options(
    to: str, max_side: int | None, quality: int | None, shard_size: int, workers: int | None, on_error: str
) -> Shrink | None:
    if to not in FORMATS:
        raise RefusedError(f"to={to!r}: one of {', '.join(FORMATS)}")
    if on_error not in ("raise", "skip"):
        raise RefusedError(f'on_error={on_error!r}: "raise" or "skip"')
    for name, value in (("max_side", max_side), ("shard_size", shard_size), ("workers", workers)):
        if value is not None and value < 1:
            raise RefusedError(f"{name}={value}: at least 1")
    if quality is not None and (max_side is None or not 1 <= quality <= 100):
        raise RefusedError(f"quality={quality}: 1 to 100, and only with max_side")
    return None if max_side is None else Shrink(max_side, quality or DEFAULT_QUALITY)


def _check_places(src: Any, dst: str) -> None:
    if not isinstance(src, str | os.PathLike) or not os.path.isdir(src):
        return
    inside, outside = os.path.realpath(dst), os.path.realpath(src)
    if os.path.commonpath([inside, outside]) == outside:
        raise RefusedError(f"{dst} lies in {os.fspath(src)}: the destination would become a part of the source")


def _digits(samples: SampleList) -> int:
    """Of the largest target, where folders are named by targets."""
    if samples.classes is not None:
        return 0
    targets = (samples.sample(row).target for row in range(len(samples)))
    return max((len(str(target)) for target in targets if type(target) is int), default=0)


def _check_folder_names(samples: SampleList, digits: int, on_error: str) -> None:
    first: dict[bool, str] = {}

    def names() -> Iterator[str]:
        for row in range(len(samples)):
            sample = samples.sample(row)
            if (
                first.setdefault(has_class(sample.target, sample.class_name), sample.name) == sample.name
                and len(first) == 2
            ):
                raise RefusedError(
                    f"{first[False]!r} has no class, and {first[True]!r} has one: a folder holds samples of one kind"
                )
            try:
                yield file_name(sample.name, sample.target, sample.class_name, digits)
            except BadSampleError:
                if on_error == "raise":
                    raise

    check_file_names(names())


class _Rows(Sequence[Sample]):
    """The samples of some rows."""

    def __init__(self, samples: SampleList, rows: range) -> None:
        self._samples = samples
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: Any) -> Any:
        return self._samples.sample(self._rows[i])
