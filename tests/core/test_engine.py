"""The engine by itself: where bytes come from, what its outcomes are, whose memory it writes."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image

from children import LIMIT
from fastload import _core
from fastload.transforms.split_transforms import read
from images import jpeg_bytes
from waiting import until

SIZE = (24, 32)
READING = read(v1.Compose([v1.Resize(SIZE), v1.PILToTensor()]))


@pytest.fixture
def engine():
    return _core.Engine(3)


def submit(engine, sources, *, out=None, load=None, stop_at_failure=False, **options):
    out = np.zeros((len(sources), 3, *SIZE), np.uint8) if out is None else out
    batch = engine.submit(
        sources,
        list(range(len(sources))),
        **{
            "recipe": READING.recipe,
            "target": READING.pixelwise.target("chw"),
            "size": SIZE,
            "out": out,
            "order": None,
            "seed": 0,
            "epoch": 0,
            "stop_at_failure": stop_at_failure,
            "max_pixels": 0,
            "load": load,
            **options,
        },
    )
    assert batch.wait(LIMIT)
    return out, batch


def expected(path):
    return v1.PILToTensor()(v1.Resize(SIZE)(Image.open(path).convert("RGB"))).numpy()


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(jpeg_bytes(number, 60 + number, 50))
        paths.append(path)
    return paths


def test_paths_ranges_and_memory_give_the_same(engine, files, tmp_path):
    data = [path.read_bytes() for path in files]
    pack = tmp_path / "pack.bin"
    pack.write_bytes(b"head" + b"".join(data))
    starts = np.cumsum([4] + [len(part) for part in data]).tolist()
    ranges = [(str(pack), start, len(part)) for start, part in zip(starts, data, strict=False)]
    memory = [data[0], bytearray(data[1]), memoryview(data[2]), *data[3:]]
    for sources in ([str(path) for path in files], ranges, memory):
        out, batch = submit(engine, sources)
        assert batch.failures == []
        assert all(np.array_equal(image, expected(path)) for image, path in zip(out, files, strict=True))


def test_bad_sources_are_named_by_code(engine, files, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    cut = files[1].read_bytes()[:-300]
    sources = [
        str(files[0]),
        str(tmp_path / "none.jpg"),
        str(tmp_path / "empty.jpg"),
        str(tmp_path),
        (str(files[0]), 0, 10**6),
        (str(files[0]), -1, 5),
        b"",
        b"no image at all",
        cut,
        str(files[2]),
    ]
    out, batch = submit(engine, sources)
    codes = {slot: code for slot, code, _ in batch.failures}
    assert codes == {
        1: "not_found",
        2: "empty",
        3: "unreadable",
        4: "unreadable",
        5: "unreadable",
        6: "empty",
        7: "not_native",
        8: codes[8],
    }
    assert codes[8] in ("damaged", "not_native")
    assert all(message for _, _, message in batch.failures)
    assert np.array_equal(out[0], expected(files[0]))
    assert np.array_equal(out[9], expected(files[2]))


def test_the_fallback_is_asked_and_may_refuse(engine, files):
    asked = []

    def load(slot, code):
        asked.append((slot, code))
        if slot == 1:
            return np.full((5, 7, 3), 9, np.uint8)
        if slot == 2:
            raise RuntimeError("not this one")
        return None if slot == 3 else np.zeros((5, 7), np.uint8)

    out, batch = submit(engine, [str(files[0]), b"a", b"b", b"c", b"d"], load=load)
    assert sorted(asked) == [(slot, "not_native") for slot in (1, 2, 3, 4)]
    assert sorted(slot for slot, _, _ in batch.failures) == [2, 3, 4]
    assert (out[1] == 9).all()
    assert batch.fallbacks == 4


def test_the_pixel_limit(engine, files):
    _, batch = submit(engine, [str(path) for path in files], max_pixels=62 * 50)
    assert [(slot, code) for slot, code, _ in batch.failures] == [(slot, "too_large") for slot in (3, 4, 5)]


def test_memory_is_checked(engine, files):
    for out in (
        np.zeros((1, 3, 24, 31), np.uint8),
        np.zeros((1, 3, 24, 64), np.uint8)[..., ::2],
        np.zeros(5, np.float32),
    ):
        with pytest.raises(ValueError, match="out must be"):
            submit(engine, [str(files[0])], out=out)
    read_only = np.zeros((1, 3, *SIZE), np.uint8)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out must be"):
        submit(engine, [str(files[0])], out=read_only)


def test_memory_is_taken_once_and_used_again(engine, files):
    made = []

    def grow(block, nbytes, gone):
        made.append(np.zeros(nbytes, np.uint8))
        return made[block]

    memory = _core.BatchMemory(grow)
    for _ in range(5):
        _, batch = submit(engine, [str(path) for path in files], out=memory)
        block = batch.take_block()
        images = made[block].reshape(len(files), 3, *SIZE)
        assert all(np.array_equal(image, expected(path)) for image, path in zip(images, files, strict=True))
        memory.give(block)
    assert len(made) == 1
    dropped = submit(engine, [str(files[0])], out=memory)[1]
    del dropped  # gives its block back by itself
    assert submit(engine, [str(files[1])], out=memory)[1].take_block() == 1
    assert len(made) == 2


def test_no_memory_is_a_failure_of_the_samples(engine, files):
    def grow(block, nbytes, gone):
        raise MemoryError

    _, batch = submit(engine, [str(path) for path in files], out=_core.BatchMemory(grow))
    assert {code for _, code, _ in batch.failures} == {"too_large"}
    assert batch.take_block() == -1


def test_a_stopped_engine_takes_no_work(files):
    engine = _core.Engine(2)
    engine.stop()
    engine.stop()
    with pytest.raises(ValueError, match="stopped"):
        submit(engine, [str(files[0])])


def niceness_by_thread() -> dict[str, int]:
    """Of our threads, and of all others."""
    found = {}
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # it has ended
            found[thread] = os.getpriority(os.PRIO_PROCESS, int(thread))
    return found


def name_of(thread: str) -> str:
    with contextlib.suppress(OSError):  # it has ended
        return Path(f"/proc/self/task/{thread}/comm").read_text()
    return ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere threads have no niceness of their own")
def test_threads_give_way_and_nobody_else_does(files):
    own = os.getpriority(os.PRIO_PROCESS, 0)
    lowered = min(own + 3, 19)
    before = niceness_by_thread()
    engine = _core.Engine(3, niceness=own + 3)
    submit(engine, [str(path) for path in files])
    new = set(niceness_by_thread()) - set(before)
    threads = {thread for thread in new if name_of(thread) == "fastload\n"}
    assert len(threads) == 3
    # Each lowers it when it begins, which may be after others have done all the work.
    until(lambda: {niceness_by_thread()[thread] for thread in threads} == {lowered})
    after = niceness_by_thread()
    assert all(after.get(thread, there) == there for thread, there in before.items())
    assert os.getpriority(os.PRIO_PROCESS, 0) == own and engine.niceness == own + 3


def test_batches_that_leave_samples_are_planned_first(files):
    """The other decoder must not wait for what comes before it in the queue."""
    engine = _core.Engine(1)
    sources = [str(path) for path in files] * 40
    options = {
        "recipe": READING.recipe,
        "target": READING.pixelwise.target("chw"),
        "size": SIZE,
        "order": None,
        "seed": 0,
        "epoch": 0,
        "stop_at_failure": False,
        "max_pixels": 0,
        "load": None,
    }
    memory = [np.zeros((len(sources), 3, *SIZE), np.uint8) for _ in range(2)]
    indices = list(range(len(sources)))
    queued = threading.Event()

    def until_queued(slot, code):
        assert queued.wait(LIMIT)

    held = engine.submit([b"a"], [0], out=memory[0][:1].copy(), **{**options, "load": until_queued})
    first = engine.submit(sources, indices, out=memory[0], **options)
    second = engine.submit(sources, indices, out=memory[1], leave=_core.Leave.bytes, **options)
    queued.set()
    assert held.wait(LIMIT) and second.wait_planned(LIMIT) and second.wait(LIMIT)
    assert first.wait(LIMIT) and first.remaining == 0 and first.finished_at >= second.finished_at
    assert np.array_equal(memory[0][0], expected(files[0]))


def test_turns_are_kept_by_any_number_of_threads(files):
    """One generator, drawn from in sample order, whatever finishes first."""
    reading = read(v1.Compose([v1.RandomResizedCrop(SIZE), v1.PILToTensor()]))
    results = []
    for threads in (1, 2, 7):
        engine = _core.Engine(threads)
        order = _core.DrawOrder(_core.Streams(_core.Mt19937(5)))
        outs = [
            submit(engine, [str(path) for path in files] * 4, order=order, recipe=reading.recipe)[0] for _ in range(3)
        ]
        results.append((np.concatenate(outs), order.generators().torch.next()))
    assert all(np.array_equal(out, results[0][0]) and word == results[0][1] for out, word in results)
    torch.manual_seed(5)
    for image, path in zip(results[0][0], files * 12, strict=True):
        stock = v1.RandomResizedCrop(SIZE)(Image.open(path).convert("RGB"))
        assert np.array_equal(image, v1.PILToTensor()(stock).numpy())
