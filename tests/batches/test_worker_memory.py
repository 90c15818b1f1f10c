"""Batches of worker processes in memory that is used again: never while anybody, in any process, can still look at it."""

from __future__ import annotations

import collections
import gc
import os
import queue
import random
import resource
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
import torchvision.transforms as v1
from torch.utils.data import DataLoader as StockLoader
from torch.utils.data import Dataset, IterableDataset, TensorDataset, default_collate, get_worker_info
from torchvision import tv_tensors

from children import LIMIT
from contract import needs_in_order
from fastload import DataLoader, StatefulDataLoader
from fastload.batches import block_table, lent_blocks, worker_batches, worker_blocks
from fastload.batches.lent_blocks import LentBlocks
from fastload.batches.worker_blocks import WorkerBlocks
from fastload.batches.worker_messages import WorkerBatch
from fastload.engine import is_held, process_forks, storage_holders
from fastload.transforms import read
from waiting import until_all_asleep

pytestmark = pytest.mark.skipif(block_table.blocks_of_each_worker(1) == 0, reason="memory is not used again here")

COUNT, BATCH = 24, 2
# Of two workers whose batches have two tensors: four batches under way, four of an epoch that was left, two that a loop holds; half
# as many again may wait.
MOST_BLOCKS = 2 * (4 + 4 + 2) * 3 // 2
Pair = collections.namedtuple("Pair", "image target")


class Rows(Dataset):
    """Sample i is full of i."""

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        return torch.full((3, 8, 8), float(i)), i


class Kinds(Dataset):
    """Whatever default_collate knows."""

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        image = torch.arange(24, dtype=torch.uint8).view(2, 4, 3).permute(2, 0, 1) + i
        return {
            "pair": Pair(image, torch.tensor(i)),
            "array": np.full((2, 3), i, np.float64),
            "numbers": [i, i / 2, np.int16(i), i % 2 == 0],
            "bool": torch.tensor([i % 3 == 0]),
            "image": tv_tensors.Image(image),
            "half": torch.full((5,), i, dtype=torch.bfloat16),
            "empty": torch.empty(0, 3),
            "complex": torch.full((2,), 1j * i),
            "text": ("name", str(i), b"bytes"),
        }


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        return iter([torch.full((4,), i) for i in range(info.id, COUNT, info.num_workers)])


def loader_of(dataset=None, kind=DataLoader, **options):
    return kind(Rows() if dataset is None else dataset, **{"batch_size": BATCH, "num_workers": 1, **options})


def leaves(batch):
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, (list, tuple, dict)):
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from leaves(part)
    else:
        yield batch


def form(batch):
    """All that one can see of a batch but its values."""
    if isinstance(batch, torch.Tensor):
        storage = batch.untyped_storage()
        flags = batch.is_shared(), batch.is_contiguous(), batch.requires_grad, storage.resizable()
        return type(batch), batch.dtype, batch.shape, batch.stride(), batch.storage_offset(), storage.nbytes(), flags
    if isinstance(batch, dict):
        return type(batch), [(name, form(part)) for name, part in batch.items()]
    if isinstance(batch, (list, tuple)):
        return type(batch), [form(part) for part in batch]
    return type(batch), batch


def same(mine, theirs):
    mine, theirs = list(leaves(mine)), list(leaves(theirs))
    return len(mine) == len(theirs) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(mine, theirs, strict=True)
    )


def overwrite(loader):
    """As often as it takes for every block to come round."""
    for _ in range(2):
        for images, _ in loader:
            images.fill_(-1)


def value(batch) -> float:
    """Of the first sample, which is full of it."""
    first = float(batch[0, 0, 0, 0])
    assert bool((batch[0] == first).all())
    return first


def kept_in_worker(items):
    """A collate_fn that holds the batch before."""
    before = vars(kept_in_worker).get("batch")
    if before is not None:
        assert torch.equal(before[0], vars(kept_in_worker)["copy"])
    batch = default_collate(items)
    kept_in_worker.batch, kept_in_worker.copy = batch, batch[0].clone()
    return batch


def stacked(items):
    images = torch.stack([image for image, _ in items])
    return images, {"targets": torch.tensor([target for _, target in items]), "view": images[1:]}


def as_they_are(items):
    return items


CASES = {
    "rows": {},
    "kinds": {"dataset": Kinds()},
    "kept in the worker": {"collate_fn": kept_in_worker},
    "a collate_fn without default_collate": {"collate_fn": stacked},
    "samples": {"collate_fn": as_they_are},
    "views": {"dataset": TensorDataset(torch.arange(48.0).view(COUNT, 2), torch.arange(COUNT))},
    "one by one": {"batch_size": None},
    "a stream": {"dataset": Stream(), "num_workers": 2},
    "workers that stay": {"persistent_workers": True, "num_workers": 2},
    "a short last batch": {"batch_size": 5, "num_workers": 2},
    "out of order": {"in_order": False, "num_workers": 1},
    "far ahead": {"prefetch_factor": 5},
}


@pytest.mark.filterwarnings("ignore:with in_order=False:UserWarning")
@pytest.mark.parametrize("Loader", [DataLoader, StatefulDataLoader])
@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=needs_in_order) if "in_order" in CASES[name] else name for name in CASES]
)
def test_batches_are_torchs(case, Loader):
    options = CASES[case]
    mine, theirs = loader_of(kind=Loader, **options), loader_of(kind=StockLoader, **options)
    for _ in range(2):
        count = 0
        for a, b in zip(mine, theirs, strict=True):
            assert same(a, b) and form(a) == form(b)
            for leaf in leaves(a):
                if isinstance(leaf, torch.Tensor) and case != "kept in the worker":  # which sees it, as in torch
                    leaf.fill_(1)  # the user's: no later batch shows it
            count += 1
        assert count == len(mine) if case != "a stream" else count > 0
    blocks = mine.stats()["shared_blocks"]
    assert blocks["used_again"] > 0 or case == "a short last batch"


HOLDS = [
    lambda x: x,
    lambda x: x[1:, :, 2],
    lambda x: x.untyped_storage(),
    lambda x: x.numpy(),
    lambda x: x.numpy()[0, ::2],
    lambda x: memoryview(x.numpy()),
    lambda x: torch.utils.dlpack.to_dlpack(x),
    lambda x: np.from_dlpack(x),
    lambda x: x.detach(),
    lambda x: x.view(torch.uint8),
    lambda x: torch.nn.Parameter(x),
    lambda x: (torch.ones(1, requires_grad=True) * x).sum().grad_fn,
]


def test_what_is_held_keeps_its_values():
    """By a tensor, a view, a storage, an array, a graph; all epoch long and longer."""
    loader = loader_of(persistent_workers=True)
    kept, watched = [], []
    for k, (images, _) in enumerate(loader):
        kept.append(HOLDS[k](images))
        watched.append((np.asarray(np.frombuffer(images.numpy().data, np.float32)), images.numpy().copy()))
        del images
    assert len(kept) == len(HOLDS)
    addresses = [(w[0].ctypes.data, w[1]) for w in watched]
    del watched  # now what is in `kept` alone holds the memory
    overwrite(loader)
    for address, before in addresses:
        memory = (np.ctypeslib.ctypes.c_float * before.size).from_address(address)
        assert np.array_equal(np.frombuffer(memory, np.float32), before.reshape(-1))
    assert loader.stats()["shared_blocks"]["used_again"] > 0


def test_all_batches_of_an_epoch_can_be_kept():
    loader = loader_of(num_workers=2, persistent_workers=True)
    kept = [list(loader) for _ in range(3)]
    for epoch in kept:
        assert [value(images) for images, _ in epoch] == [float(i) for i in range(0, COUNT, BATCH)]
    assert len({images.data_ptr() for epoch in kept for images, _ in epoch}) == 3 * COUNT // BATCH


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def shared_bytes() -> int:
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss_Shmem"))


def test_memory_and_descriptors_do_not_grow():
    loader = loader_of(num_workers=2, persistent_workers=True)
    for _ in range(2):
        collections.deque(loader, 0)
    before = descriptors(), shared_bytes()
    workers = [len(os.listdir(f"/proc/{worker.pid}/fd")) for worker in loader._iterator._workers]
    for _ in range(10):
        for images, _ in loader:
            assert images.is_shared()
    assert loader.stats()["shared_blocks"]["used_again"] > 0
    assert len(loader._iterator._lent_blocks._storages) <= MOST_BLOCKS
    del images
    assert descriptors() <= before[0] + MOST_BLOCKS and shared_bytes() <= before[1] + 4 * MOST_BLOCKS
    now = [len(os.listdir(f"/proc/{worker.pid}/fd")) for worker in loader._iterator._workers]
    assert all(a <= b + MOST_BLOCKS for a, b in zip(now, workers, strict=True))
    loader._iterator = None
    assert descriptors() < before[0]


class Growing(Rows):
    """Each batch of another size."""

    def __getitem__(self, i):
        return torch.full((1000 + i // BATCH,), float(i))


def test_blocks_of_sizes_that_are_needed_no_more_are_let_go():
    loader = loader_of(Growing(), persistent_workers=True)
    for _ in range(4):
        for batch, expected in zip(loader, loader_of(Growing(), StockLoader), strict=True):
            assert torch.equal(batch, expected)
    assert len(loader._iterator._lent_blocks._storages) <= 10


def answer(asked, answers):
    batch = asked.get()
    answers.put("here")
    asked.get()
    answers.put(value(batch))


def test_a_batch_that_another_process_was_given_stays_its_own():
    context = mp.get_context("fork")
    asked, answers = context.Queue(), context.Queue()
    other = context.Process(target=answer, args=(asked, answers), daemon=True)
    other.start()
    loader = loader_of(persistent_workers=True)
    for images, _ in loader:
        if value(images) == 4:
            asked.put(images)
            assert answers.get(timeout=LIMIT) == "here"
    del images
    overwrite(loader)
    asked.put("and now?")
    assert answers.get(timeout=LIMIT) == 4
    other.join()


def test_a_forked_process_keeps_what_it_was_forked_with():
    loader = loader_of(persistent_workers=True)
    told, tells = os.pipe()
    for images, _ in loader:
        if value(images) == 6:
            child = os.fork()
            if child == 0:
                signal.alarm(LIMIT)
                os.read(told, 1)
                os._exit(0 if value(images) == 6 else 1)
    del images
    overwrite(loader)
    os.write(tells, b"!")
    assert os.waitpid(child, 0)[1] == 0
    os.close(told), os.close(tells)
    assert loader.stats()["shared_blocks"]["used_again"] > 0


def test_batches_dropped_by_other_threads():
    loader = loader_of(num_workers=2, persistent_workers=True)
    waiting: queue.Queue = queue.Queue()
    wrong = []

    def consume(seed):
        drawn, held = random.Random(seed), []
        while (batch := waiting.get()) is not None:
            held.append(batch)
            if drawn.random() < 0.6:
                expected, images = held.pop(drawn.randrange(len(held)))
                if value(images) != expected:
                    wrong.append((value(images), expected))
        wrong.extend((value(images), expected) for expected, images in held if value(images) != expected)

    threads = [threading.Thread(target=consume, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        for k, (images, _) in enumerate(loader):
            waiting.put((float(k * BATCH), images))
            del images
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    assert not wrong


own_queue = mp.get_context("fork").Queue()


def sends_by_itself(items):
    batch = default_collate(items)
    if batch[1][0] == 2:
        own_queue.put(batch[0])
    return batch


def test_a_batch_that_a_worker_sends_by_itself_is_not_written_again():
    loader = loader_of(collate_fn=sends_by_itself, persistent_workers=True, multiprocessing_context="fork")
    collections.deque(loader, 0)
    received = own_queue.get(timeout=LIMIT)
    overwrite(loader)
    assert value(received) == 2
    for _ in range(2):
        own_queue.get(timeout=LIMIT)


def forks_by_itself(items):
    batch = default_collate(items)
    if batch[1][0] == 2 and not hasattr(forks_by_itself, "child"):
        forks_by_itself.child = os.fork()
        if forks_by_itself.child == 0:
            signal.alarm(LIMIT)
            os.read(forks_by_itself.told, 1)
            os.write(forks_by_itself.answers, b"y" if value(batch[0]) == 2 else b"n")
            os._exit(0)
    return batch


def test_what_a_child_of_a_worker_holds_is_not_written_again():
    forks_by_itself.told, tells = os.pipe()
    answers, forks_by_itself.answers = os.pipe()
    loader = loader_of(collate_fn=forks_by_itself, persistent_workers=True, multiprocessing_context="fork")
    for _ in range(3):
        for images, _ in loader:
            if images[0, 0, 0, 0] != 2:
                images.fill_(-1)
    os.write(tells, b"!")
    assert os.read(answers, 1) == b"y"
    for end in (forks_by_itself.told, tells, answers, forks_by_itself.answers):
        os.close(end)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a socket that multiprocessing leaves open
def test_a_killed_worker():
    loader = loader_of(num_workers=1)
    iterator = iter(loader)
    kept = [next(iterator)[0], next(iterator)[0]]
    worker = iterator._workers[0]
    with pytest.raises((RuntimeError, OSError, EOFError)):  # in torch's loader, too, it depends on what is under way
        os.kill(worker.pid, signal.SIGKILL)  # the handler of SIGCHLD, torch's, may raise here already
        collections.deque(iterator, 0)
    del iterator
    gc.collect()
    assert [value(images) for images in kept] == [0, BATCH]
    assert [value(images) for images, _ in loader] == [float(i) for i in range(0, COUNT, BATCH)]


def consume_for_ever(asked):
    loader = loader_of(num_workers=1, persistent_workers=True)
    iterator = iter(loader)
    kept = [next(iterator), next(iterator)]
    asked.put((os.getpid(), iterator._workers[0].pid))
    while kept:
        signal.pause()


def test_killed_processes_leave_no_memory_behind():
    context = mp.get_context("fork")
    asked = context.Queue()
    process = context.Process(target=consume_for_ever, args=(asked,))
    process.start()
    killed = asked.get(timeout=LIMIT)
    until_all_asleep(process.pid)  # torch makes memory under a name, and takes that away at once: not in between
    for one in killed:
        os.kill(one, signal.SIGKILL)
    process.join()
    names = tuple(f"torch_{one}_" for one in killed)  # as torch calls it
    assert not [name for name in os.listdir("/dev/shm") if name.startswith(names)]


def test_an_epoch_left_early():
    loader = loader_of(num_workers=2, persistent_workers=True)
    for stop in (1, 3, 0, 5):
        for k, (images, _) in enumerate(loader):
            assert value(images) == k * BATCH
            if k == stop:
                break
    for images, _ in loader:
        del images
    assert len(loader._iterator._lent_blocks._storages) <= MOST_BLOCKS


@pytest.mark.parametrize("lack", ["room", "blocks", "descriptors", "file_system"])
def test_where_there_is_no_room_it_is_torchs_way(monkeypatch, lack):
    made = 0
    strategy = mp.get_sharing_strategy()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        if lack == "room":
            monkeypatch.setattr(worker_blocks, "_ROOM", 1 << 40)
        elif lack == "blocks":
            monkeypatch.setattr(block_table, "_MOST_BLOCKS", 1)
            made = 1
        elif lack == "descriptors":
            monkeypatch.setattr(block_table, "_SHARE_OF_DESCRIPTORS", 0)
        else:
            mp.set_sharing_strategy("file_system")
        loader = loader_of(persistent_workers=True)
        for _ in range(2):
            assert all(same(a, b) for a, b in zip(loader, loader_of(kind=StockLoader), strict=True))
            assert loader.stats()["shared_blocks"]["made"] <= made
    finally:
        mp.set_sharing_strategy(strategy)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def relies_on_zeros(items):
    storage = items[0][0]._typed_storage()._new_shared(64)
    assert torch.equal(torch.empty(0).set_(storage.untyped()), torch.zeros(64))
    return default_collate(items)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")
def test_new_shared_memory_of_the_users_is_empty():
    assert len(list(loader_of(collate_fn=relies_on_zeros, persistent_workers=True))) == COUNT // BATCH


@pytest.fixture
def both():
    lent = LentBlocks.for_iterator(1, 2)
    return lent, WorkerBlocks(lent.table, 0)


def sent(both, storage):
    lent, worker = both
    rebuild, arguments = worker.send(storage)
    return rebuild(*arguments)


def test_a_block_goes_round(both):
    lent, worker = both
    first = worker.take(4096)
    address = first.data_ptr()
    assert worker.take(4096).data_ptr() != address  # the worker holds it
    there = sent(both, first)
    del first
    assert worker.take(4096) is not None
    lent.next_turn()
    states = lent.table.of_worker(0)
    assert states[0] == block_table.LENT
    del there
    assert lent.next_turn() == (1 - 1, 0) and states[0] == block_table.FREE


def test_a_storage_is_one_object_to_all_tensors_on_it(both):
    """What nobody holds may be told only of the object that users get."""
    storage = both[1].take(4096)
    for one in (storage, sent(both, storage)):
        assert torch.empty(0, dtype=torch.uint8).set_(one).untyped_storage() is one


def test_a_storage_that_takes_its_tensors_place_is_held(both, monkeypatch):
    """In another thread, between the looks at a block; torch 2.4 does not count its tensors among Python's references."""
    lent, worker = both
    holder = [torch.empty(0, dtype=torch.uint8).set_(sent(both, worker.take(4096)))]
    plain = storage_holders._use_count

    def in_between(cdata):
        holder[0] = holder[0].untyped_storage()
        return plain(cdata)

    monkeypatch.setattr(storage_holders, "_use_count", in_between)
    assert is_held(lent._storages, (0, 0))


@pytest.mark.parametrize("side", ["loader", "worker"])
def test_what_is_dropped_while_a_fork_is_under_way_is_the_childs(both, side, monkeypatch):
    """The fork of another thread begins after a side has begun to look, and what is held at the fork is dropped before it has."""
    lent, worker = both
    holder = [worker.take(4096)]
    address = holder[0].data_ptr()
    if side == "loader":
        holder[0] = sent(both, holder[0])
    module = lent_blocks if side == "loader" else worker_blocks

    def in_between(kept, key):
        if holder:
            process_forks._before()
            child.append(holder.pop())
            child.clear()
        return is_held(kept, key)

    child = []
    monkeypatch.setattr(module, "is_held", in_between)
    if side == "loader":
        lent.next_turn()
        assert not holder and lent.table.of_worker(0)[0] == block_table.LENT
    else:
        taken = worker.take(4096)
        assert not holder and (taken is None or taken.data_ptr() != address)
    process_forks._after()


def test_a_block_that_the_engine_writes_to_is_held(both, monkeypatch):
    """Though a signal's handler has ended the wait for it."""
    _, worker = both
    submitted = []

    class Engine:
        def submit(self, *args, out, **options):
            submitted.append(out)
            return self

        def wait(self):
            raise TimeoutError

    monkeypatch.setattr(worker_batches, "engine_of", lambda *args: Engine())
    reading = read(v1.Compose([v1.Resize((4, 4)), v1.ToTensor()]))
    samples = SimpleNamespace(sources=["a"], indices=[0], numbers=[0], load=None)
    with pytest.raises(TimeoutError):
        worker_batches.WholeBatches(None, None)._written(samples, reading, worker, None, (0, 0))
    gc.collect()
    assert is_held(worker._storages, 0)
    submitted.clear()
    assert not is_held(worker._storages, 0)


def test_a_block_that_is_sent_twice_goes_torchs_way(both):
    lent, worker = both
    storage = worker.take(4096)
    there = sent(both, storage)
    assert worker.send(storage) is None
    del there
    lent.next_turn()
    assert worker.send(storage) is None  # still the same content


def test_a_block_that_is_held_too_long_is_its_holders(both):
    lent, worker = both
    storage = worker.take(4096)
    there = sent(both, storage)
    del storage
    for _ in range(20):
        lent.next_turn()
    assert lent.table.of_worker(0)[0] == block_table.GONE
    there[0] = 7
    other = worker.take(4096)
    other.fill_(0)
    assert there[0] == 7 and lent.table.of_worker(0)[0] == block_table.FREE


def test_a_size_that_is_needed_no_more_is_dropped_by_both(both):
    lent, worker = both
    for nbytes in (1 << 20, *[4096] * 70, 8192):
        there = sent(both, worker.take(nbytes))
        del there
        lent.next_turn()
    lent.next_turn()
    assert sorted(kept[2] for kept in lent._storages.values())[-1] < 1 << 20


def test_the_pinning_thread_frees_a_block_at_once(both, monkeypatch):
    lent, worker = both
    monkeypatch.setattr(torch.utils.data._utils.pin_memory, "pin_memory", torch.clone)  # no accelerator is needed
    there = torch.empty(0, dtype=torch.uint8).set_(sent(both, worker.take(4096))).fill_(3)
    batch = WorkerBatch(there, token=lent.table.token)
    del there
    pinned = batch.pin_memory()
    assert lent.table.of_worker(0)[0] == block_table.FREE
    worker.take(4096).fill_(0)
    assert bool((pinned.batch == 3).all())
