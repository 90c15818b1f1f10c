"""The check after a conversion: everything that was written is read by the reader of its format, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from fastload.conversion.errors import ConversionError
from fastload.conversion.folder_writer import file_name
from fastload.conversion.parts import Watch, in_order
from fastload.conversion.payloads import Rooms, payloads, runs
from fastload.conversion.sample_lists import Sample, SampleList


class Written(NamedTuple):
    """A sample that was written: as the source has it, and the CRC-32C of its bytes."""

    sample: Sample
    crc32c: int


def check_read_back(
    found: SampleList, written: Iterator[Written], count: int, *, digits: int, watch: Watch, pool: Executor
) -> None:
    """Compares what is found in the destination with what was written: names, targets, classes, and the checksum of all bytes.

    Args:
        found: the destination's samples.
        written: what was written, in order.
        count: of these.
        digits: of the largest target.
        watch: is told of each sample.
        pool: reads.

    Raises:
        ConversionError: the first difference, with the sample's name.
    """
    if len(found) != count:
        raise ConversionError(f"the check failed: {len(found)} samples are read back, {count} were written")
    in_folder = found.kind == "folder"
    rows = _Rows(found) if in_folder else range(count)
    row_of: Callable[[str, int], int] = rows.of if isinstance(rows, _Rows) else lambda name, number: number

    rooms = Rooms()

    def pairs() -> Iterator[tuple[Sample, Written]]:
        for number, one in enumerate(written):
            sample = one.sample
            name = sample.name
            if in_folder:
                name = file_name(name, sample.target, sample.class_name, digits)
            back = found.sample(row_of(name, number))
            if back.name != name:
                raise ConversionError(f"the check failed: {sample.name!r} is read back as {back.name!r}")
            if not in_folder and (back.target, back.class_name) != (sample.target, sample.class_name):
                raise ConversionError(
                    f"the check failed: {name!r} is read back with the target {back.target!r} ({back.class_name}), "
                    f"not {sample.target!r} ({sample.class_name})"
                )
            yield back, one

    def compare(batch: Sequence[tuple[Sample, Written]]) -> tuple[int, int]:
        if watch.is_stopped():
            return 0, 0
        room = rooms.take()
        for payload, (_, one) in zip(payloads([back for back, _ in batch], room), batch, strict=True):
            if payload.data is None:
                raise ConversionError(f"the check failed: {one.sample.name!r} cannot be read back: {payload.reason}")
            if payload.crc32c != one.crc32c:
                raise ConversionError(f"the check failed: {one.sample.name!r} is read back with other bytes")
        rooms.give_back(room)
        return len(batch), sum(back.size for back, _ in batch)

    for samples, size in in_order(pool, compare, _batches(pairs()), ahead=8):
        watch.check()
        watch.count(samples, size)


def _batches(pairs: Iterator[tuple[Sample, Written]]) -> Iterator[list[tuple[Sample, Written]]]:
    kept: list[Written] = []

    def samples() -> Iterator[Sample]:
        for back, one in pairs:
            kept.append(one)
            yield back

    for run in runs(samples()):
        ones, kept[: len(run)] = kept[: len(run)], []
        yield list(zip(run, ones, strict=True))


class _Rows:
    """Where each file is in a folder's list."""

    def __init__(self, found: SampleList) -> None:
        self._rows = {found.sample(row).name: row for row in range(len(found))}

    def of(self, name: str, number: int) -> int:
        row: Any = self._rows.get(name)
        if row is None:
            raise ConversionError(f"the check failed: {name!r} is not read back")
        return int(row)
