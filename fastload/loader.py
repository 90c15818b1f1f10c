"""``DataLoader``: torch's own class, with another iterator where the samples can be made natively."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.utils.data
from torch.utils.data import Dataset, Sampler

from fastload.batches import (
    LoaderSettings,
    Mode,
    ThreadIterator,
    Way,
    cache_figures,
    cache_for,
    cache_lines,
    check_cache,
    check_options,
    choose,
    further_lines,
    iterate_as_torch,
    iterate_in_workers,
    loader_figures,
    say_how,
)
from fastload.engine import (
    AtWork,
    BatchMemory,
    Engine,
    SampleCache,
    ThreadFinder,
    engine_of,
    finder_for,
    thread_count,
    thread_figures,
)
from fastload.entries import EntryPoints, check_entries, entry_lines, entry_points_of
from fastload.gpu import (
    NICENESS,
    DecodeResources,
    DeviceIterator,
    DeviceResources,
    GpuDecode,
    GpuDecodeIterator,
    MovingIterator,
    Pinning,
    checked_decode,
    checked_device,
)
from fastload.images import counted_here, lazy_figures
from fastload.remote import remote_lines, transfers_so_far
from fastload.reports import SampleError, Statistics, Tolerance, checked_max_errors, own_job_file
from fastload.resume import EpochLog, Sampling
from fastload.settings_file import overridden, read_settings

_T_co = TypeVar("_T_co", covariant=True)
# torch grew these parameters one by one; older ones get those that they know.
_TORCH_PARAMETERS = frozenset(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)


def _of_this_process() -> dict[str, Any]:
    """Never part of a pickled or copied loader: threads, the memory that they fill, and what they have counted."""
    return {
        "_native_engine": None,
        "_finder": None,
        "_batch_memory": None,
        "_mode_seen": None,
        "_sample_cache": None,
        "_entry_points": None,
        "_on_device": DeviceResources(),
        "_told": frozenset(),
    }


class DataLoader(torch.utils.data.DataLoader[_T_co]):
    """torch's ``DataLoader``, several times faster on folders of JPEGs, with the very same batches.

    The first 17 parameters are torch's. Where the data set is torchvision's ``ImageFolder`` (or ``DatasetFolder``,
    ``fastload.ImageFolder``, ``fastload.ImageFiles``, or ``Subset`` and ``ConcatDataset`` of these) and the transforms are
    torchvision's, a pool of native threads makes the batches: images [batch, channels, height, width], targets int64 [batch].
    Elsewhere it is torch's loader, worker processes and all. :meth:`explain` says which, and why.

    Args:
        threads: engine threads. None: ``num_workers`` if that is positive, else this process's share of the cores
            (its affinity, its control groups' quota, divided by ``LOCAL_WORLD_SIZE``). "auto": as many of these as make most
            images a second, found by trying while the first epoch runs; batches are the same.
        rng: "stock": the batches that torch's loader gives for the same seed and ``num_workers``. "index": the randomness of a
            sample depends on (seed, epoch, index) alone, whatever the threads, workers and batch size.
        on_error: what an unreadable sample does. "raise": the batch's ``next()`` raises :class:`FastloadError`, the next one goes
            on with the following batch. "skip": the batch is smaller.
            "replace": the next readable sample of the same batch takes the place, image and target.
        max_errors: with "skip" and "replace", when to stop with :class:`TooManyErrors`. An int: after so many failures in a row. A
            float between 0 and 1: when more than this share of an epoch's samples failed. None: never.
        device: where batches arrive; None: where torch's loader leaves them. To a CUDA device the copy runs on a stream of its
            own, and the batch is safe to use on the caller's current stream, to keep and to drop.
        decode: who decodes. "cpu": the engine. "gpu": a CUDA ``device``: images whose ``entries`` are known from their codes on;
            of others few of the CPU's threads read the codes. "hybrid": the same with all threads. "auto": the fastest, by a short
            measurement. Windows, flips, order and pixels are the same. "dali": the hardware decoder (NVIDIA DALI) first, whose
            pixels are off by a level at most before they are resized. :class:`GpuDecode` has more settings.
        cache: what of each sample is kept in memory from its first use on, until that is full. "encoded": the bytes of the file.
            "decoded": the pixels of the whole image (3 bytes each, 1 of gray images), so that windows stay random and batches the
            same. One copy for all processes of this user on this machine that load the same data set with the same ``cache`` and
            ``cache_bytes``; gone when the last of them drops its loader or ends, however it ends. A file that changes is read
            anew. Needs samples made natively; "decoded" needs ``decode="cpu"``.
        cache_bytes: how much memory, at most. None: half of what is free (of the machine's and of this container's) when the cache
            is made. More than is free is a ValueError. It does not lie in /dev/shm, and takes only what was put into it.
        entries: entry points into the codes of JPEGs, by which a window is decoded without what lies above and beside it; pixels
            are the same. "auto": those in the user's cache folder, where more are kept while samples are decoded. "verify": the
            same, and a hash of each file's content is compared, not only its size and times. "off": none. A path: of this file.
        dtype: of the image batch; None: what the transform says.
        memory_format: of the image batch; None: contiguous.

    Example:
        >>> loader = DataLoader([1, 2, 3], batch_size=2)
        >>> [batch.tolist() for batch in loader]
        [[1, 2], [3]]
        >>> loader.explain().splitlines()[0]
        'stock: the data set builtins.list is no ImageFolder, DatasetFolder, ImageFiles, Subset or ConcatDataset of them'
    """

    _keeps_progress = False  # a StatefulDataLoader's iterators write down how far they are
    # Of _of_this_process().
    _native_engine: Engine | None
    _finder: ThreadFinder | None
    _batch_memory: BatchMemory | None
    _mode_seen: Mode | None
    _sample_cache: SampleCache | None
    _entry_points: EntryPoints | None
    _on_device: DeviceResources
    _told: frozenset[str]

    def __init__(
        self,
        dataset: Dataset[_T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: torch.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        worker_method: str = "multiprocessing",
        threads: int | str | None = None,
        rng: str = "stock",
        on_error: str = "raise",
        max_errors: float | None = None,
        device: torch.device | str | None = None,
        decode: str | GpuDecode = "cpu",
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format | None = None,
        cache: str | None = None,
        cache_bytes: int | None = None,
        entries: str | os.PathLike[str] = "auto",
    ) -> None:
        newer = {"in_order": in_order, "worker_method": worker_method}
        newer = {name: value for name, value in newer.items() if name in _TORCH_PARAMETERS}
        if worker_method != "multiprocessing" and "worker_method" not in newer:
            raise ValueError(
                f"worker_method={worker_method!r}, but this torch ({torch.__version__}) has no such parameter"
            )
        torch_init = self.__dict__.pop("_torch_init", super().__init__)  # install() names what lies below it
        torch_init(
            dataset,
            batch_size=batch_size,
            shuffle=shuffle,
            sampler=sampler,
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=collate_fn,
            pin_memory=pin_memory,
            drop_last=drop_last,
            timeout=timeout,
            worker_init_fn=worker_init_fn,
            multiprocessing_context=multiprocessing_context,
            generator=generator,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
            pin_memory_device=pin_memory_device,
            **newer,
        )
        check_options(threads=threads, rng=rng, on_error=on_error, memory_format=memory_format)
        checked_max_errors(max_errors, on_error)
        checked_decode(decode, checked_device(device) if device is not None else None)
        check_cache(cache, cache_bytes, decode)
        check_entries(entries)
        self.threads = threads
        self.rng = rng
        self.on_error, self.max_errors = on_error, max_errors
        self.device, self.decode = device, decode
        self.dtype, self.memory_format = dtype, memory_format
        self.cache, self.cache_bytes = cache, cache_bytes
        self.entries = entries
        self._record = EpochLog(self._keeps_progress)
        vars(self).update(_of_this_process())

    @classmethod
    def from_settings(
        cls, path: str | os.PathLike[str], dataset: Dataset[_T_co], **overrides: Any
    ) -> DataLoader[_T_co]:
        """A loader with the settings of a ``fastload.toml``, but for ``overrides``. OSError; ValueError names what is none."""
        return cls(dataset, **overridden(read_settings(path, overrides), overrides))

    def __iter__(self) -> Any:
        if getattr(self._iterator, "is_inherited", False):
            self._iterator = None  # its workers stayed in the process that this one was forked from
        with AtWork(), counted_here():
            return super().__iter__()

    def _get_iterator(self) -> Any:
        self._record.epoch += 1
        self._record.statistics = Statistics()
        self._record.tolerance = self._tolerance()
        own_job_file().watch(self._published)
        settings = self._settings()
        mode = self._mode_seen = choose(settings, frozen=self.num_workers > 0)
        self._told = say_how(settings, mode, self._told)
        resumed = self._take_state() if self._keeps_progress else None
        if self.cache is not None:
            self._sample_cache = cache_for(self._sample_cache, self.cache, self.cache_bytes, mode, self.dataset)
        self._entry_points = entry_points_of(self._entry_points, self.entries, mode.files, begins=True)
        settings = self._settings()  # a state brings a seed along
        if mode.way is Way.native and not mode.in_workers:
            return self._iterate_in_threads(settings, mode, resumed)
        if mode.way is Way.native:
            return self._moving(iterate_in_workers(settings, mode, resumed), settings.device)
        if self.dtype is not None or self.memory_format is not None or self.on_error != "raise":
            raise ValueError(f"dtype, memory_format and on_error need samples made natively, but: {mode.reason}")
        if self._keeps_progress:
            if settings.has_thread_workers:
                raise ValueError("torch's thread workers keep no state; leave out worker_method='thread'")
            return self._moving(iterate_in_workers(settings, mode, resumed), settings.device)
        if settings.device is not None:
            return self._moving(iterate_as_torch(Pinning(self, settings.device), self._record), settings.device)
        return iterate_as_torch(self, self._record, super()._get_iterator)

    def _iterate_in_threads(self, settings: LoaderSettings, mode: Mode, resumed: dict[str, Any] | None) -> Any:
        destination = decoding = None
        if settings.device is not None and not mode.erases:
            destination = self._on_device.destination_on(settings.device)
            decoding = self._on_device.decoding_for(settings, mode, self.decode, destination, self._load_otherwise)
        threads, niceness = (settings.thread_count, 0) if decoding is None else (decoding.threads, NICENESS)
        engine = engine_of(self._native_engine, threads, niceness)
        if engine is not self._native_engine or self._batch_memory is None:
            self._native_engine, self._batch_memory = engine, BatchMemory()
        self._finder = finder_for(engine, self._finder, is_wanted=self.threads == "auto" and decoding is None)
        given = (replace(settings, finder=self._finder), mode, resumed, engine, self._batch_memory, self._settings)
        if destination is None:
            return self._moving(ThreadIterator(*given), settings.device)
        if decoding is None:
            return DeviceIterator(*given, destination=destination)
        return GpuDecodeIterator(*given, destination=destination, decoding=decoding)

    def _settings(self) -> LoaderSettings:
        """This loader as it is now, for all that is below it."""
        sampler_size = getattr(self.batch_sampler, "batch_size", None)
        return LoaderSettings(
            torch_loader=self,
            dataset=self.dataset,
            num_workers=self.num_workers,
            collate_fn=self.collate_fn,
            worker_init_fn=self.worker_init_fn,
            pin_memory=self.pin_memory,
            drop_last=self.drop_last,
            in_order=getattr(self, "in_order", True),
            prefetch_factor=self.prefetch_factor,
            batch_size=self.batch_size or (sampler_size if isinstance(sampler_size, int) else None),
            in_batches=self._auto_collation,
            has_thread_workers=self.num_workers > 0 and getattr(self, "worker_method", "") == "thread",
            threads=self.threads if isinstance(self.threads, int) else None,
            thread_count=self._thread_count(),
            rng=self.rng,
            on_error=self.on_error,
            dtype=self.dtype,
            memory_format=self.memory_format,
            device=None if self.device is None else checked_device(self.device),
            cache=None if self.cache is None else self._sample_cache,
            entries=self._entry_points,
            sampling=self._sampling(),
            record=self._record,
        )

    def _sampling(self) -> Sampling:
        return Sampling.of(self, self.rng, self._index_seed)

    def _load_otherwise(
        self, decode: str | GpuDecode, batch_sampler: Iterable[list[int]], before: DecodeResources | None
    ) -> tuple[DataLoader[_T_co], DeviceResources]:
        """The batches of other indices, decoded in another way; for a measurement that leaves this loader as it is."""
        # Not a subclass, whose constructor may want other things.
        other: DataLoader[_T_co] = DataLoader(
            self.dataset,
            batch_sampler=batch_sampler,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch_factor,
            generator=torch.Generator("cpu").manual_seed(0),
            threads=self.threads if isinstance(self.threads, int) else None,
            rng="index",
            on_error="replace",
            device=self.device,
            decode=decode,
            dtype=self.dtype,
            memory_format=self.memory_format,
            entries=self.entries,
        )
        other._on_device.decoding = before
        return other, other._on_device

    def _tolerance(self) -> Tolerance:
        """For a new epoch."""
        if self.max_errors is None:
            return Tolerance()
        plain = type(self.batch_sampler) is torch.utils.data.BatchSampler
        return Tolerance(self.max_errors, len(self.sampler if plain else self.dataset))  # type: ignore[arg-type]

    def _moving(self, iterator: Any, device: torch.device | None) -> Any:
        return iterator if device is None else MovingIterator(iterator, self._on_device.destination_on(device))

    def _take_state(self) -> dict[str, Any] | None:
        """What the next iterator goes on from."""
        raise NotImplementedError("only a StatefulDataLoader keeps its progress")

    @property
    def _index_seed(self) -> int:
        """The seed of ``rng="index"``: the one that the generator was seeded with. Draws nothing."""
        return (self.generator or torch.default_generator).initial_seed()

    def _thread_count(self) -> int:
        return thread_count(self.threads, self.num_workers)

    def explain(self) -> str:
        """Text that begins with ``native:`` or ``stock:``, then every reason why, and which transforms run where."""
        settings = self._settings()
        mode = choose(settings)
        also = further_lines(settings, mode) + self._on_device.describe(settings, mode, self.decode)
        far = remote_lines(mode.files)
        cache = cache_lines(self.cache, self.cache_bytes, mode, self.dataset, self._sample_cache)
        given = (self.entries, mode.files, mode.find, self.dataset, self._entry_points)
        entries = entry_lines(*given, self._record.statistics, self.cache)
        also += [f"  threads: {self._finder.why()}"] if self._finder is not None else []
        return "\n".join([mode.describe(settings), *also, *far, *entries, *cache])

    def stats(self) -> dict[str, Any]:
        """Figures of the current or last epoch.

        ``mode`` ("native", "native in workers", "stock" or None before the first epoch), ``batches``, ``images``, ``seconds``
        (since the iterator was made, up to the last batch), ``images_per_second``, ``wait_seconds`` (of the consumer),
        ``first_batch_seconds``, ``stages`` (seconds by stage, summed over the threads; an augmentation is one, by its class),
        ``slowest_samples`` (ten, each its batch's slowest: seconds, index, name), ``fallbacks`` (samples that Pillow decoded),
        ``errors`` (samples that failed), ``all_errors`` and ``errors_by_reason`` (the same since the loader was made) and
        ``decoders`` (images that the "cpu" and the "gpu"'s hardware decoded, those that the GPU made of "codes", and of the
        "split" ones the CPU read these; "reasons" why the CPU decoded some; "refused": index, path and reason of what DALI could
        not decode). ``remote``, where this process has read from afar: ``requests`` of the epoch's samples (not those that torch's
        workers make), ``bytes``, ``hedges`` (sent again as late), ``retries`` (as failed) and ``waits`` (reads that somebody
        waited for). Stages, slowest samples, fallbacks and decoders are of native threads; elsewhere an image is a sample, and
        without workers making it is waiting for it. ``lazy``, under ``install()``: lazy images here and in workers that since the
        epoch began became ``images`` and ``tensors``, whosever. ``threads``: of the engine, those that run; ``threads_why``: what
        that rests on, with ``threads="auto"``; else None. ``shared_blocks``: tensors from workers in new shared memory ("made")
        and in memory of earlier ones ("used_again"). ``cache`` is None without one, else ``hits``, ``misses`` and ``hit_rate`` of
        the epoch, and of the cache as all processes share it ``bytes`` (of its ``capacity``), ``samples`` and whether it is
        ``full``. ``entries``, or None: images whose entry points were "used", "made", and "ignored" as of another file.
        """
        return {
            "mode": self._mode_seen.name if self._mode_seen else None,
            **self._record.statistics.figures(),
            **thread_figures(self._native_engine, self._finder),
            "cache": cache_figures(self._sample_cache, self._record.statistics),
            "entries": self._record.statistics.entry_figures() if self._entry_points else None,
            "errors": self._record.tolerance.failed,
            **self._record.ledger.figures(),
            **lazy_figures(self._record.statistics),
            **({"remote": dict(self._record.statistics.remote)} if transfers_so_far() is not None else {}),
        }

    def _published(self) -> dict[str, Any]:
        """What ``fastload monitor`` shows of this loader; for JSON."""
        return {"id": id(self), **loader_figures(self, self._record, self.stats())}

    @property
    def errors(self) -> list[SampleError]:
        """The ledger of samples that failed since the loader was made, the newest 1,000: index, path, reason."""
        return list(self._record.ledger.newest)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), **_of_this_process(), "_record": self._record.for_another_process()}
