"""``DataLoader``: torch's own class, with another iterator where the samples can be made natively."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.utils.data
from torch.utils.data import Dataset, Sampler

from fastload.choice import GpuDecode, checked_decode, describe, sharing_of
from fastload.cores import share_of_cores
from fastload.destination import Destination, MovingIterator, Pinning, checked_device
from fastload.device import DeviceIterator
from fastload.engines import AtWork, engine_of
from fastload.errors import SampleError
from fastload.fastpath import reasons, warn_if_lost
from fastload.memory import BatchMemory
from fastload.modes import Way, choose, runs_thread_workers
from fastload.native import NativeIterator
from fastload.record import Record
from fastload.sharing import NICENESS, SharingIterator
from fastload.statistics import Statistics
from fastload.tolerance import Tolerance, checked_max_errors
from fastload.workers import iterate_in_workers

_T_co = TypeVar("_T_co", covariant=True)

_RNGS = ("stock", "index")
_POLICIES = ("raise", "skip", "replace")
# torch grew these parameters one by one; older ones get those that they know.
_TORCH_PARAMETERS = frozenset(inspect.signature(torch.utils.data.DataLoader.__init__).parameters)
# Never part of a pickled or copied loader: threads, the memory that they fill, and what they have counted.
_OF_THIS_PROCESS = {
    "_native_engine": None,
    "_batch_memory": None,
    "_mode_seen": None,
    "_destination": None,
    "_sharing": None,
    "_measured": None,
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
            (its affinity, its control groups' quota, divided by ``LOCAL_WORLD_SIZE``).
        rng: "stock": the batches that torch's loader gives for the same seed and ``num_workers``. "index": the randomness of a
            sample depends on (seed, epoch, index) alone, whatever the threads, workers and batch size.
        on_error: what an unreadable sample does. "raise": the batch's ``next()`` raises :class:`FastloadError`, the next one goes
            on with the following batch. "skip": the batch is smaller.
            "replace": the next readable sample of the same batch takes the place, image and target.
        max_errors: with "skip" and "replace", when to stop with :class:`TooManyErrors`. An int: after so many failures in a row. A
            float between 0 and 1: when more than this share of an epoch's samples failed. None: never.
        device: where batches arrive; None: where torch's loader leaves them. To a CUDA device the copy runs on a stream of its
            own, and the batch is safe to use on the caller's current stream, to keep and to drop.
        decode: who decodes. "cpu": the engine. "gpu": a CUDA ``device``, its hardware decoder (through NVIDIA DALI) first, and
            few of the CPU's threads. "hybrid": the same with all threads, as much each as it manages. "auto": the fastest, by a
            short measurement. Windows, flips and order are the same, and so are all pixels but the hardware decoder's, which
            are off by a level at most before they are resized. :class:`GpuDecode` has more settings.
        cache, cache_bytes: reserved; only the defaults are available in this version.
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

    def __init__(
        self,
        dataset: Dataset[_T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
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
        threads: int | None = None,
        rng: str = "stock",
        on_error: str = "raise",
        max_errors: float | None = None,
        device: torch.device | str | None = None,
        decode: str | GpuDecode = "cpu",
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format | None = None,
        cache: str | None = None,
        cache_bytes: int | None = None,
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
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ValueError(f"threads should be a positive integer or None, but got threads={threads!r}")
        if rng not in _RNGS:
            raise ValueError(f"rng should be one of {_RNGS}, but got rng={rng!r}")
        if on_error not in _POLICIES:
            raise ValueError(f"on_error should be one of {_POLICIES}, but got on_error={on_error!r}")
        checked_max_errors(max_errors, on_error)
        if memory_format not in (None, torch.contiguous_format, torch.channels_last):
            raise ValueError(f"memory_format should be contiguous or channels_last, but got {memory_format!r}")
        checked_decode(decode, checked_device(device) if device is not None else None)
        for name, value in {"cache": cache, "cache_bytes": cache_bytes}.items():
            if value is not None:
                raise ValueError(f"{name}={value!r} is not available in this version; leave it out")
        self.threads = threads
        self.rng = rng
        self.on_error = on_error
        self.max_errors = max_errors
        self.device = device
        self.decode = decode
        self.dtype = dtype
        self.memory_format = memory_format
        self.cache = cache
        self.cache_bytes = cache_bytes
        self._record = Record(self._keeps_progress)
        vars(self).update(_OF_THIS_PROCESS)

    def __iter__(self) -> Any:
        if getattr(self._iterator, "is_inherited", False):
            self._iterator = None  # its workers stayed in the process that this one was forked from
        with AtWork():
            return super().__iter__()

    def _get_iterator(self) -> Any:
        self._record.epoch += 1
        self._record.statistics = Statistics()
        self._record.tolerance = self._tolerance()
        mode = self._mode_seen = choose(self, frozen=self.num_workers > 0)
        warn_if_lost(self, mode)
        resumed = self._take_state() if self._keeps_progress else None
        if mode.way is Way.native and not mode.in_workers:
            destination, threads = self._where(), self._thread_count()
            sharing = None if destination is None else sharing_of(self, mode, destination, threads)
            wanted = (threads, 0) if sharing is None else (sharing.threads, NICENESS)
            engine = engine_of(self._native_engine, *wanted)
            if engine is not self._native_engine:
                self._native_engine, self._batch_memory = engine, BatchMemory()
            parts = (self, mode, resumed, self._native_engine, self._batch_memory)
            if destination is None:
                return NativeIterator(*parts)
            if sharing is None:
                return DeviceIterator(*parts, destination=destination)
            return SharingIterator(*parts, destination=destination, sharing=sharing)
        if mode.way is Way.native:
            return self._moving(iterate_in_workers(self, mode, resumed))
        if self.dtype is not None or self.memory_format is not None or self.on_error != "raise":
            raise ValueError(f"dtype, memory_format and on_error need samples made natively, but: {mode.reason}")
        if self._keeps_progress:
            if runs_thread_workers(self):
                raise ValueError("torch's thread workers keep no state; leave out worker_method='thread'")
            return self._moving(iterate_in_workers(self, mode, resumed))
        if self.device is None:
            return super()._get_iterator()
        return self._moving(torch.utils.data.DataLoader._get_iterator(Pinning(self)))  # type: ignore[arg-type]

    def _tolerance(self) -> Tolerance:
        """For a new epoch."""
        if self.max_errors is None:
            return Tolerance()
        plain = type(self.batch_sampler) is torch.utils.data.BatchSampler
        return Tolerance(self.max_errors, len(self.sampler if plain else self.dataset))  # type: ignore[arg-type]

    def _moving(self, iterator: Any) -> Any:
        destination = self._where()
        return iterator if destination is None else MovingIterator(iterator, destination)

    def _where(self) -> Destination | None:
        if self.device is None:
            return None
        device = checked_device(self.device)
        if self._destination is None or not self._destination.serves(device):
            self._destination = Destination(device)
        return self._destination

    def _take_state(self) -> dict[str, Any] | None:
        """What the next iterator goes on from."""
        raise NotImplementedError("only a StatefulDataLoader keeps its progress")

    @property
    def _index_seed(self) -> int:
        """The seed of ``rng="index"``: the one that the generator was seeded with. Draws nothing."""
        return (self.generator or torch.default_generator).initial_seed()

    def _thread_count(self) -> int:
        if self.threads is not None:
            return self.threads
        return self.num_workers or share_of_cores()

    def explain(self) -> str:
        """Text that begins with ``native:`` or ``stock:``, then every reason why, and which transforms run where."""
        mode = choose(self)
        also = [f"  also: {reason}" for reason in reasons(self, mode)[1:]]
        return "\n".join([mode.describe(self._thread_count()), *also, *describe(self, mode)])

    def stats(self) -> dict[str, Any]:
        """Figures of the current or last epoch.

        ``mode`` ("native", "native in workers", "stock" or None before the first epoch), ``batches``, ``images``, ``seconds``
        (since the iterator was made, up to the last batch), ``images_per_second``, ``wait_seconds`` (of the consumer),
        ``first_batch_seconds``, ``stages`` (seconds by stage, summed over the threads), ``fallbacks`` (samples that Pillow
        decoded), ``errors`` (samples that failed), ``all_errors`` and ``errors_by_reason`` (the same since the loader was made)
        and ``decoders`` (images that the "cpu" and the "gpu" decoded, and of the "split" ones the CPU read the codes and the GPU
        did the rest; "reasons" why the CPU decoded some, for a loader that has the GPU; "refused": index, path and reason of
        those that DALI was given and could not decode). Only ``mode`` and the errors are filled where worker processes make the
        batches.
        """
        ledger = self._record.ledger
        return {
            "mode": self._mode_seen.name if self._mode_seen else None,
            **self._record.statistics.figures(),
            "errors": self._record.tolerance.failed,
            "all_errors": ledger.count,
            "errors_by_reason": dict(ledger.by_reason),
        }

    @property
    def errors(self) -> list[SampleError]:
        """The ledger of samples that failed since the loader was made, the newest 1,000: index, path, reason."""
        return list(self._record.ledger.newest)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), **_OF_THIS_PROCESS, "_record": self._record.for_another_process()}
