"""Threads, iterators, processes: no hang, no leak, no crash, whatever is dropped when."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from cases import cases
from children import LIMIT, run_script
from images import picture, write_folder
from waiting import interrupted_in, never_read, until

TRANSFORM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor()])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=4, images=10)
    picture(0, 60, 60).save(root / "class0" / "zz.png")  # one sample that Pillow decodes, in a call from the threads
    return root


def loader(root, **options):
    return fastload.DataLoader(ImageFolder(root, TRANSFORM), **{"batch_size": 4, "num_workers": 2, **options})


def tasks() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_early_break_many_times(root):
    gc.collect()  # loaders of other tests, in cycles with their errors
    mine, before = loader(root, shuffle=True), tasks()
    for number in range(cases(60, 300)):
        for at, _ in enumerate(mine):
            if at == number % 5:
                break
    until(lambda: tasks() < before + 20)  # they were told to end, and do so when it is their turn


def test_no_thread_or_file_is_left(root):
    def use():
        for number in range(50):
            iterator = iter(loader(root, threads=3))
            for _ in range(number % 4):
                next(iterator)

    use()
    gc.collect()
    threads, files = tasks(), descriptors()
    use()
    gc.collect()
    until(lambda: tasks() <= threads and descriptors() <= files)  # threads end, and close files, when it is their turn


def test_no_memory_is_lost(root):
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    mine = loader(root, batch_size=20)
    for _ in range(30):
        list(mine)
    before = resident()
    for _ in range(100):
        list(mine)
    assert resident() - before < 30 << 20


def test_two_iterators_at_once(root):
    torch.manual_seed(0)
    mine = loader(root)
    first, second = iter(mine), iter(mine)
    ours = [next(first)[0], next(second)[0], next(second)[0], next(first)[0]]
    torch.manual_seed(0)
    stock = torch.utils.data.DataLoader(ImageFolder(root, TRANSFORM), batch_size=4, num_workers=2)
    first, second = iter(stock), iter(stock)
    theirs = [next(first)[0], next(second)[0], next(second)[0], next(first)[0]]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_exhausted_iterators_stay_so(root):
    iterator = iter(loader(root))
    assert len(list(iterator)) == 11
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(iterator)


def test_batches_may_be_kept(root):
    torch.manual_seed(0)
    kept = [images for images, _ in loader(root)]
    torch.manual_seed(0)
    copies = [images.clone() for images, _ in loader(root)]
    for images, copied in zip(kept, copies, strict=True):
        assert torch.equal(images, copied)
    assert len({images.data_ptr() for images in kept}) == len(kept)


def test_what_the_consumer_does_to_a_batch_stays_with_it(root):
    """Resized, shared or turned into other objects: memory that is used again must be nobody's."""
    torch.manual_seed(0)
    expected = [images.clone() for images, _ in loader(root)]
    torch.manual_seed(0)
    mine = loader(root)
    held = []
    for number, (images, _) in enumerate(mine):
        assert torch.equal(images, expected[number])
        uses = [
            lambda t: t.resize_(50, 3, 32, 32),
            lambda t: t.share_memory_(),
            lambda t: held.append(t.numpy()),
            lambda t: held.append(torch.utils.dlpack.to_dlpack(t)),
            lambda t: held.append(t[1:, :, 3]),
            lambda t: t.untyped_storage().resize_(0),
        ]
        uses[number % len(uses)](images)
    assert np.array_equal(held[0], expected[2].numpy())
    assert torch.equal(torch.utils.dlpack.from_dlpack(held[1]), expected[3])
    assert torch.equal(held[2], expected[4][1:, :, 3])


def test_loader_dropped_before_its_iterator(root):
    iterator = iter(loader(root))
    gc.collect()
    assert len(list(iterator)) == 11


def test_dropping_everything_in_flight_while_the_lock_is_held(root):
    """Samples that Pillow decodes want Python's lock; dropping the iterator must not hold it while waiting for them."""
    dataset = fastload.ImageFiles([str(root / "class0" / "zz.png")] * 64, transform=TRANSFORM)
    for _ in range(50):
        iterator = iter(fastload.DataLoader(dataset, batch_size=16, num_workers=2))
        next(iterator)
        del iterator


def test_pickle_and_copies(root):
    mine = loader(root, threads=1, rng="index")
    list(mine)
    for twin in (pickle.loads(pickle.dumps(mine)), copy.copy(mine), copy.deepcopy(mine)):
        assert type(twin) is fastload.DataLoader and (twin.threads, twin.rng) == (1, "index")
        assert len(list(twin)) == 11
    assert len(list(mine)) == 11


def test_fork_after_use(root):
    mine = loader(root)
    torch.manual_seed(0)
    expected = [images for images, _ in mine]
    half_way = iter(mine)
    next(half_way)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(LIMIT)
            torch.manual_seed(0)
            again = [images for images, _ in mine]
            del half_way
            gc.collect()
            status = 0 if all(torch.equal(a, b) for a, b in zip(expected, again, strict=True)) else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert len(list(half_way)) == 10


def in_a_process(code: str, root) -> subprocess.CompletedProcess[str]:
    script = f"""
        import sys, torch, torchvision.transforms as T, fastload
        from torchvision.datasets import ImageFolder
        data = ImageFolder({str(root)!r}, T.Compose([T.RandomResizedCrop(32), T.ToTensor()]))
        loader = fastload.DataLoader(data, batch_size=4, num_workers=2, shuffle=True)
    """
    return run_script(textwrap.dedent(script) + textwrap.dedent(code), warnings=[("ignore", "DeprecationWarning")])


@pytest.mark.parametrize(
    "code",
    [
        "for batch in loader: pass",
        pytest.param("iterator = iter(loader); next(iterator)", marks=pytest.mark.slow),
        pytest.param("iterator = iter(loader); next(iterator); sys.exit(0)", marks=pytest.mark.slow),
        pytest.param("import builtins; builtins.keep = iterator = iter(loader)", marks=pytest.mark.slow),
        "data.samples = [(data.root + '/class0/zz.png', 0)] * 500; keep = [iter(loader) for _ in range(5)]",
        "import os; iterator = iter(loader); next(iterator); pid = os.fork(); os.waitpid(pid, 0) if pid else None",
    ],
)
def test_the_process_ends_quietly(root, code):
    ended = in_a_process(code, root)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


def test_a_loader_may_be_collected_by_one_of_its_own_threads(root):
    """Python's collector runs wherever Python code runs, so also where a thread asks Pillow for pixels or for memory."""
    code = """
        import gc, threading, PIL.PngImagePlugin
        data.samples = [(data.root + "/class0/zz.png", 0)] * 64
        opened = PIL.PngImagePlugin.PngImageFile._open
        def collecting(image):
            if threading.current_thread() is not threading.main_thread():
                gc.collect()
            opened(image)
        PIL.PngImagePlugin.PngImageFile._open = collecting
        gc.disable()
        gc.freeze()
        for _ in range(30):
            loader = fastload.DataLoader(data, batch_size=8, num_workers=2)
            fastload.require_native(loader)
            cycle = [loader, iter(loader)]
            cycle.append(cycle)
    """
    ended = in_a_process(textwrap.dedent(code), root)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


def test_nothing_is_printed_about_damaged_files(root, tmp_path):
    data = bytearray((root / "class0" / "000.jpg").read_bytes())
    for at in range(400, len(data) - 2, 97):
        data[at] ^= 0x55
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "warns.jpg").write_bytes(bytes(data))
    (tmp_path / "a" / "cut.jpg").write_bytes(bytes(data[:500]))
    code = """
        loader.on_error = "skip"
        try:
            for batch in loader: pass
        except fastload.FastloadError:  # nothing of the set is readable
            assert len(loader.errors) == 2
    """
    ended = in_a_process(textwrap.dedent(code), tmp_path)
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


@pytest.fixture
def never(tmp_path):
    """Makes loaders of one file that does not come, until the test is over."""
    kept = []

    def make(**options):
        path = tmp_path / "never.jpg"
        kept.append(fastload.DataLoader(fastload.ImageFiles([path], transform=TRANSFORM), num_workers=1, **options))
        return kept[-1]

    with never_read(tmp_path / "never.jpg"):
        yield make
    kept.clear()  # a loader's threads end when they have read what they are reading


def test_ctrl_c_is_answered(never):
    """A wait for a sample that does not come ends with KeyboardInterrupt, and dropping the iterator waits for nothing either."""
    iterator = iter(never())
    with interrupted_in("__next__"), pytest.raises(KeyboardInterrupt):
        next(iterator)
    del iterator


def test_timeout(never):
    iterator = iter(never(timeout=0.3))
    for _ in range(2):  # the batch is still to come, not lost
        with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.3 seconds"):
            next(iterator)


def test_the_users_settings_are_left_alone(root):
    threads = torch.get_num_threads()
    list(loader(root))
    assert torch.get_num_threads() == threads
    assert torch.utils.data.get_worker_info() is None
