"""A ``datasets.Dataset`` -> its images, straight from Arrow's buffers or the files that these are mapped from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastload.datasets.exclude_lists import Exclude
from fastload.datasets.sharded_images import ShardedImages
from fastload.engine import Encoded, SampleSource
from fastload.shards import SampleIndex, table_index


def from_hf(
    dataset: Any,
    image: str = "image",
    target: str | None = "label",
    transform: Callable[[Any], Any] | None = None,
    target_transform: Callable[[Any], Any] | None = None,
    *,
    exclude: Exclude = None,
) -> ShardedImages:
    """The images of a ``datasets.Dataset``: in memory or memory-mapped, selected, shuffled, sharded, concatenated.

    Samples that are memory-mapped from files are read from the files, which are looked at for changes, as other shards are.

    No Python object of a sample is made, and ``datasets`` takes no part in reading. Items are ``(image, target)``, or ``image``
    where there are no targets. Images are RGB, and as they are stored: ``datasets`` gives them in their own mode, and turned as
    their EXIF data says.

    Args:
        dataset: one split. Its format (``with_format("torch")`` and the like) has no effect.
        image: name of the column: a feature ``Image``, or binary.
        target: name of the column; None for images alone. Names of a ``ClassLabel`` are ``classes``.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        exclude: names of samples that are left out, or a file of names, one a line.

    Raises TypeError for an IterableDataset, a DatasetDict, or one with a transform of its own; ValueError for columns that are not
    there or hold no encoded images.

    Example: ``fastload.from_hf(datasets.load_dataset("imagenet-1k", split="train"), transform=transform)``.
    """
    kind = type(dataset).__name__
    if not isinstance(image, str):
        raise TypeError(f"image is the name of a column, not {image!r}: give a transform as transform=")
    if "Iterable" in kind:
        raise TypeError(
            f"from_hf reads a datasets.Dataset, not an {kind}, which has no random access: load it with streaming=False, or "
            "give its Parquet files to fastload.Parquet"
        )
    if isinstance(dataset, dict):
        raise TypeError(f"from_hf reads one split: dataset[{next(iter(dataset), 'train')!r}], not a {kind} of them")
    if not hasattr(dataset, "_indices") or not hasattr(dataset, "data"):
        raise TypeError(f"from_hf reads a datasets.Dataset, not {kind}")
    if dataset.format["type"] == "custom":
        raise TypeError(
            "the data set has a transform of its own (set_transform), which would not be called: give fastload a torchvision "
            "transform, and dataset.with_format(None)"
        )
    index = _IndexOfBuffers(dataset, image, target)
    return ShardedImages(index, transform, target_transform, exclude=exclude)


class _IndexOfBuffers(SampleIndex):
    """Samples that lie in Arrow's buffers. Where these are mapped from files, samples are ranges of the files. Pickled it is the
    data set that it was made of, as ``datasets`` pickles it, unless all are files' ranges."""

    def __init__(self, dataset: Any, image: str, target: str | None) -> None:
        self._made_of = dataset, image, target
        indices = dataset._indices
        rows = None if indices is None else indices.column(0).to_numpy()
        index, self._buffers = table_index(dataset.data.table, image, target, rows, "datasets")
        super().__init__(
            index.format_name, index.shards, index.columns, target_kind=index.target_kind, facts=index.facts
        )

    def source(self, row: int) -> SampleSource | str:
        columns = self.columns
        if columns.is_file is not None and columns.is_file[row]:
            return self.name(row)
        buffer = self._buffers[int(columns.shard[row])]
        if buffer is None:
            return super().source(row)
        offset, length = int(columns.offset[row]), int(columns.length[row])
        return Encoded(buffer[offset : offset + length], self.name(row))

    def __reduce__(self) -> Any:
        if self.columns.is_file is None and all(buffer is None for buffer in self._buffers):
            return super().__reduce__()
        return _IndexOfBuffers, self._made_of
