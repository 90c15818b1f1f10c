"""The same parts, written by the machines of a Ray cluster."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from fastload.conversion.errors import ConversionError
from fastload.conversion.parts import Part, Watch
from fastload.conversion.progress import Counter
from fastload.reports import needs


def write_on_ray(address: str, parts: Sequence[Part], counter: Counter) -> None:
    """Writes the parts as tasks of Ray Data, one a core, and waits for them. Each says in the destination that it is done.

    Args:
        address: as of ``ray.init``; a Ray that this process has joined already is used as it is.
        parts: are sent whole; the samples' bytes are read where they are written.
        counter: is told of each part.

    Raises:
        ConversionError: the first part that could not be written; what was begun elsewhere ends with this process's Ray.
        ImportError: without ``ray[data]``.
    """
    ray, data = needs("ray", "ray", "a conversion on a cluster"), needs("ray.data", "ray", "a conversion on a cluster")
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConversionError(f"no Ray cluster at {address}: {error}") from error
    context = data.DataContext.get_current()
    shows_bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        items = [{"part": pickle.dumps(part.sendable())} for part in parts]
        tasks = data.from_items(items, override_num_blocks=len(items)).map(_write)
        for told in tasks.iter_rows():
            if told["error"]:
                raise pickle.loads(told["error"])
            counter.count(told["samples"], told["bytes"])
            counter.show()
    except ray.exceptions.RayError as error:
        raise ConversionError(f"the Ray cluster at {address}: {error}") from error
    finally:
        context.enable_progress_bars = shows_bars
        if is_ours:
            ray.shutdown()


class _Sum(Watch):
    """Of one part."""

    samples = bytes = 0

    def count(self, samples: int, size: int) -> None:
        self.samples += samples
        self.bytes += size


def _write(row: dict[str, Any]) -> dict[str, Any]:
    """One part, in a process of the cluster. An error is a result: Ray would try again what fails again."""
    done, error = _Sum(), b""
    try:
        pickle.loads(row["part"]).write(done)
    except ConversionError as raised:
        raised.__cause__ = None  # which need not be known where it is raised again
        error = pickle.dumps(raised)
    return {"samples": done.samples, "bytes": done.bytes, "error": error}
