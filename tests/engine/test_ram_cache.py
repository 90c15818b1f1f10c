"""``cache=``: what is kept in memory changes no batch, is one copy for all processes, and is gone with the last of them."""

from __future__ import annotations

import gc
import io
import os
import shutil
import signal
import time

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.datasets import ImageFolder

import fastload
from children import Script, run_script
from configurations import write_folders
from fastload import _core
from fastload.engine.sample_cache import SampleCache
from fastload.engine.sample_sources import load_sample
from fastload.machine import read_memory_limits
from images import jpeg_bytes, picture, write_folder
from recipes import MEAN, STD
from waiting import until

TRAIN = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)])
KINDS = ["encoded", "decoded"]
ROOM = 1 << 24
EPOCHS = 3


def twice(image):
    return 2 * image


def stacked(samples):
    """Nobody can read what it does: it stays in torch's workers."""
    return list(map(torch.utils.data.default_collate, [samples]))[0]  # noqa: RUF015


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("folders"))


def epochs(cls, dataset, count=EPOCHS, **options):
    """The batches of each epoch, and the loader."""
    torch.manual_seed(5)
    loader = cls(dataset, batch_size=3, shuffle=True, **options)
    return [list(loader) for _ in range(count)], loader


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for mine, others in zip(ours, theirs, strict=True):
        assert len(mine) == len(others) > 0
        for (images, targets), (other_images, other_targets) in zip(mine, others, strict=True):
            assert torch.equal(images, other_images) and torch.equal(targets, other_targets)


def assert_stocks(dataset, kind, cache_bytes=ROOM, **options):
    """All batches of three epochs are torch's; the loader."""
    theirs, _ = epochs(torch.utils.data.DataLoader, dataset, **options)
    ours, loader = epochs(fastload.DataLoader, dataset, cache=kind, cache_bytes=cache_bytes, **options)
    assert_equal(ours, theirs)
    return loader


def cache_files(pid="self"):
    """The caches that a process holds."""
    links = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            continue
    return {link for link in links if link.startswith("/memfd:fastload-") and "fastload-figures" not in link}


@pytest.fixture(autouse=True)
def none_is_left_of_others():
    until_none_is_left()


def until_none_is_left():
    """Threads that were told to end, and hold a cache until then, do so when it is their turn."""
    gc.collect()
    until(lambda: not cache_files(), "the end of all caches")


RECIPES = {
    "train": TRAIN,
    "v2": v2.Compose([v2.RandomResizedCrop(32), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    "eval": v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor()]),
    "in place": v1.Compose([v1.RandomVerticalFlip(), v1.RandomGrayscale(), v1.Resize((30, 20)), v1.ToTensor()]),
    "whole": v1.Compose([v1.CenterCrop(80), v1.RandomGrayscale(0.5), v1.ToTensor()]),
    "upscaled": v1.Compose([v1.RandomCrop(16, pad_if_needed=True), v1.Resize((90, 80)), v1.ToTensor()]),
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_torchs(folders, kind, recipe):
    """Of JPEGs of all forms, PNG, WebP, gray, CMYK and palettes."""
    num_workers = 0 if recipe in ("v2", "eval", "whole") else 2
    dataset = ImageFolder(folders / "mixed", RECIPES[recipe])
    loader = assert_stocks(dataset, kind, num_workers=num_workers)
    stats = loader.stats()["cache"]
    assert stats["kind"] == kind and (stats["hits"], stats["misses"], stats["hit_rate"]) == (len(dataset), 0, 1.0)
    assert stats["samples"] == len(dataset) and not stats["full"] and 0 < stats["bytes"] <= stats["capacity"] == ROOM
    assert loader.stats()["fallbacks"] == 0 or kind == "encoded"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_that_is_too_small_keeps_what_fits(root, kind):
    dataset = ImageFolder(root, TRAIN)
    whole = assert_stocks(dataset, kind).stats()["cache"]
    cache_bytes = whole["bytes"] // 2
    loader = assert_stocks(dataset, kind, cache_bytes=cache_bytes, num_workers=1)
    first = loader.stats()["cache"]
    assert first["full"] and first["bytes"] <= first["capacity"] <= cache_bytes
    assert 0 < first["samples"] < len(dataset) and first["hits"] + first["misses"] == len(dataset)
    list(loader)
    assert loader.stats()["cache"]["hits"] == loader.stats()["cache"]["samples"]  # the best that so much room can give
    assert loader.stats()["cache"]["hits"] >= first["hits"] > 0


@pytest.mark.parametrize("cache_bytes", [1, 5000])
def test_a_cache_without_room(root, cache_bytes):
    loader = assert_stocks(ImageFolder(root, TRAIN), "decoded", cache_bytes=cache_bytes)
    assert loader.stats()["cache"]["full"] and loader.stats()["cache"]["hits"] == 0


@pytest.mark.parametrize("options", [{}, {"rng": "index"}, {"on_error": "skip"}], ids=str)
@pytest.mark.parametrize("context", [None, "fork", "spawn"])
@pytest.mark.parametrize("kind", KINDS)
def test_native_in_torchs_workers(folders, kind, context, options):
    if context == "spawn" and (options or kind == "encoded"):
        pytest.skip("slow to start")
    transform = v1.Compose([*TRAIN.transforms, twice])
    given = {"num_workers": {None: 0, "fork": 2, "spawn": 1}[context], "collate_fn": stacked}
    given["persistent_workers"] = context == "spawn"
    dataset = ImageFolder(folders / "mixed", transform)
    cls = fastload.DataLoader if options else torch.utils.data.DataLoader
    theirs, _ = epochs(cls, dataset, **given, **options)
    given["multiprocessing_context"] = context
    ours, loader = epochs(fastload.DataLoader, dataset, cache=kind, cache_bytes=ROOM, **given, **options)
    assert_equal(ours, theirs)
    assert loader.stats()["mode"] == "native in workers"
    stats = loader.stats()["cache"]
    assert (stats["hits"], stats["misses"], stats["samples"]) == (len(dataset), 0, len(dataset))


def test_persistent_workers_count_each_epoch(root):
    options = {"collate_fn": stacked, "num_workers": 1, "persistent_workers": True}
    _, loader = epochs(fastload.DataLoader, ImageFolder(root, TRAIN), 2, cache="decoded", cache_bytes=ROOM, **options)
    assert loader.stats()["cache"]["hits"] == 16 and loader.stats()["cache"]["misses"] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_going_on_in_the_middle(root, kind, num_workers):
    dataset = ImageFolder(root, TRAIN)
    options = {"batch_size": 3, "shuffle": True, "num_workers": num_workers}
    torch.manual_seed(1)
    expected = list(fastload.StatefulDataLoader(dataset, **options))
    torch.manual_seed(1)
    cached = {**options, "cache": kind, "cache_bytes": ROOM}
    loader = fastload.StatefulDataLoader(dataset, **cached)
    iterator = iter(loader)
    begun = [next(iterator) for _ in range(2)]
    other = fastload.StatefulDataLoader(dataset, **cached)
    other.load_state_dict(loader.state_dict())
    assert_equal([begun + list(other)], [expected])
    assert other.stats()["cache"]["hits"] > 0 or num_workers == 0


@pytest.mark.parametrize("kind", KINDS)
def test_with_randomness_by_index(root, kind):
    dataset = ImageFolder(root, TRAIN)
    expected, _ = epochs(fastload.DataLoader, dataset, rng="index")
    ours, _ = epochs(fastload.DataLoader, dataset, rng="index", cache=kind, cache_bytes=ROOM, threads=3)
    assert_equal(ours, expected)


@pytest.mark.parametrize("in_workers", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_files_that_cannot_be_read_fail_each_time(folders, kind, in_workers):
    options = {"collate_fn": stacked} if in_workers else {}
    dataset = ImageFolder(folders / "damaged", TRAIN)
    expected, plain = epochs(fastload.DataLoader, dataset, on_error="replace", **options)
    ours, loader = epochs(
        fastload.DataLoader, dataset, on_error="replace", cache=kind, cache_bytes=ROOM, num_workers=0, **options
    )
    assert_equal(ours, expected)
    assert loader.errors == plain.errors and len(loader.errors) > EPOCHS
    stats = loader.stats()
    assert stats["cache"]["samples"] == stats["cache"]["hits"] == len(dataset) - stats["errors"]
    with pytest.raises(fastload.FastloadError):
        list(fastload.DataLoader(dataset, cache=kind, cache_bytes=ROOM, **options))


def test_pillows_settings_count_as_they_are_now(tmp_path, monkeypatch):
    """What Pillow repaired when it was told to is no image when it is not."""
    (tmp_path / "a").mkdir()
    whole = jpeg_bytes(1, 64, 64, form=0)
    (tmp_path / "a" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    dataset = ImageFolder(tmp_path, TRAIN)
    loader = fastload.DataLoader(dataset, cache="decoded", cache_bytes=ROOM)
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    list(loader), list(loader)
    assert loader.stats()["cache"]["hits"] == 1
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    with pytest.raises(fastload.DecodeError):
        list(loader)
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.warns(PIL.Image.DecompressionBombWarning):
        list(loader)


CHANGES = {
    "written over": lambda path, other: path.write_bytes(other),
    "replaced": lambda path, other: (
        path.with_suffix(".new").write_bytes(other),
        path.with_suffix(".new").replace(path),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_changes_is_read_anew(tmp_path, kind, change):
    """Also one of the same size, with the time of the old one, in the very next moment."""
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "0.png"
    pictures = [PIL.Image.new("RGB", (16, 16), (number, 0, 0)) for number in range(8)]
    pictures[0].save(path)
    dataset = ImageFolder(tmp_path, v1.Compose([v1.CenterCrop(8), v1.PILToTensor()]))
    loader = fastload.DataLoader(dataset, cache=kind, cache_bytes=ROOM)
    sizes = set()
    for number, image in enumerate(pictures):
        before = path.stat()
        image.save(tmp_path / "other.png")
        other = (tmp_path / "other.png").read_bytes()
        sizes.add(len(other))
        CHANGES[change](path, other)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        for _ in range(2):
            ((images, _),) = loader
            assert images[0, 0, 0, 0] == number
    assert len(sizes) < len(pictures)
    assert loader.stats()["cache"]["hits"] == 1


def test_relative_paths_are_of_their_folder(tmp_path, monkeypatch):
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        PIL.Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / "a.png")
        os.utime(folder / "a.png", ns=(0, 0))
    dataset = fastload.ImageFiles(["a.png"], transform=v1.Compose([v1.CenterCrop(8), v1.PILToTensor()]))
    loader = fastload.DataLoader(dataset, cache="decoded", cache_bytes=ROOM)
    for number in (0, 1, 0):
        monkeypatch.chdir(tmp_path / str(number))
        (images,) = loader
        assert images[0, 0, 0, 0] == number


FILL = """
    import os, sys
    import torch, torchvision.transforms as T
    from torchvision.datasets import ImageFolder
    import fastload
    loader = fastload.DataLoader(
        ImageFolder(sys.argv[1], T.Compose([T.RandomResizedCrop(32), T.ToTensor()])),
        batch_size=2, cache=sys.argv[2], cache_bytes=int(sys.argv[3]), num_workers=1)
    batches = iter(loader)
    for _ in range(int(sys.argv[4])):
        next(batches)
    print(loader.stats()["cache"], flush=True)
    sys.stdin.read() if len(sys.argv) < 6 else None
    import signal
    if len(sys.argv) < 6:
        signal.pause()
"""


def fill_killed_then_go_on(root, kind):
    dataset = ImageFolder(root, v1.Compose([v1.RandomResizedCrop(32), v1.ToTensor()]))
    with Script(FILL, root, kind, ROOM, 4) as first:
        told = eval(first.stdout.readline())
        assert told["misses"] == 8
        loader = fastload.DataLoader(dataset, cache=kind, cache_bytes=ROOM)
        list(loader)
        assert loader.stats()["cache"]["hits"] >= 8  # the first has read ahead, too
        files = cache_files()
        assert files == cache_files(first.pid) and len(files) == 1
        first.kill()
        first.wait()
    third = run_script(FILL, root, kind, ROOM, 8, "end")
    told = eval(third.stdout)
    assert (told["hits"], told["misses"], told["samples"]) == (16, 0, 16), third.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_one_copy_for_all_processes_and_none_afterwards(root, kind):
    """The first is killed in the midst of its epoch; the second goes on with what it kept, and a third has all of it."""
    fill_killed_then_go_on(root, kind)
    until_none_is_left()
    again = run_script(FILL, root, kind, ROOM, 8, "end")
    assert eval(again.stdout)["misses"] == 16, again.stderr


def test_a_process_that_dies_while_it_fills_costs_what_it_was_at(root):
    """Killed at any moment, again and again, while others read and fill."""
    dataset = ImageFolder(root, TRAIN)
    expected, _ = epochs(torch.utils.data.DataLoader, dataset, 1)
    loader = fastload.DataLoader(dataset, cache="decoded", cache_bytes=ROOM)
    list(loader)
    cache = loader._sample_cache
    for moment in range(6):
        child = os.fork()
        if child == 0:
            variant = 1000 * moment
            while True:  # other keys, until it is killed
                variant += 1
                reader = _core.Reader()
                form = _core.Target(np.arange(256, dtype=np.uint8)[None], element="uint8", layout="hwc")
                sample = reader.open(dataset.samples[0][0], 0, cache=cache.native, cache_variant=variant)
                sample.draw(
                    _core.Recipe([], fused_uniform=False, vertical_first=_core.VerticalFirst.never), _core.Mt19937(0)
                )
                sample.read(form)
        samples = cache.native.samples
        while cache.native.samples < samples + 1 + moment and not cache.native.is_full:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        ours, other = epochs(fastload.DataLoader, dataset, 1, cache="decoded", cache_bytes=ROOM)
        assert_equal(ours, expected)
        assert other.stats()["cache"]["hits"] == len(dataset)


def test_a_forked_process_goes_on_with_it(root):
    loader = fastload.DataLoader(ImageFolder(root, TRAIN), cache="decoded", cache_bytes=ROOM)
    list(loader)
    child = os.fork()
    if child == 0:
        list(loader)
        os._exit(int(loader.stats()["cache"]["hits"] != 16))
    assert os.waitpid(child, 0)[1] == 0


def test_others_have_their_own(root, folders):
    made = [
        fastload.DataLoader(ImageFolder(folder, TRAIN), cache=kind, cache_bytes=room)
        for folder, kind, room in [
            (root, "encoded", ROOM),
            (root, "decoded", ROOM),
            (root, "decoded", ROOM + 4096),
            (folders / "mixed", "decoded", ROOM),
            (root, "decoded", ROOM),
        ]
    ]
    for loader in made:
        list(loader)
    assert [loader.stats()["cache"]["hits"] for loader in made] == [0, 0, 0, 0, 16]
    assert len(cache_files()) == 4


class Named(fastload.engine.SampleSource):
    """Bytes that come from afar, and whose arrival is counted."""

    __slots__ = ("cache_name", "data", "fetched")

    def __init__(self, name, data):
        self.name, self.cache_name, self.data, self.fetched = name, f"memory:{name}", data, 0

    def engine_form(self):
        return self.read()

    def read(self):
        self.fetched += 1
        return self.data


@pytest.mark.parametrize("in_workers", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_no_file_is_fetched_once(kind, in_workers):
    """By its name; what has none is not kept."""
    sources = [Named(str(number), jpeg_bytes(number, 40, 30)) for number in range(4)]
    buffer = io.BytesIO()
    picture(5, 30, 20).save(buffer, "PNG")
    sources.append(Named("png", buffer.getvalue()))
    sources.append(fastload.engine.Encoded(jpeg_bytes(7, 40, 30), "no name"))
    dataset = fastload.ImageFiles([], transform=TRAIN)
    dataset.samples = [(source, -1) for source in sources]
    dataset.loader = load_sample
    options = {"collate_fn": stacked} if in_workers else {}
    torch.manual_seed(2)
    expected = list(fastload.DataLoader(dataset, batch_size=2, **options))
    for source in sources[:-1]:
        source.fetched = 0
    loader = fastload.DataLoader(dataset, batch_size=2, cache=kind, cache_bytes=ROOM, **options)
    for epoch in range(2):
        torch.manual_seed(2)
        assert all(torch.equal(a, b) for a, b in zip(loader, expected, strict=True)), epoch
    assert [source.fetched for source in sources[:-1]] == [1, 1, 1, 1, 2]  # Pillow asks for itself, once
    assert loader.stats()["cache"]["hits"] == 5
    assert [loader._sample_cache.contains(source) for source in sources] == [True] * 5 + [False]


def test_ranges_of_a_file_are_told_apart(tmp_path):
    parts = [jpeg_bytes(number, 40, 30) for number in range(4)]
    shard = tmp_path / "shard"
    shard.write_bytes(b"".join(parts))
    offsets = np.cumsum([0, *map(len, parts)]).tolist()
    cache = SampleCache.of("decoded", ROOM, lambda index: (None, index), 4)
    form = _core.Target(np.tile(np.arange(256, dtype=np.uint8), (3, 1)), element="uint8", layout="hwc")
    recipe = _core.Recipe([], fused_uniform=False, vertical_first=_core.VerticalFirst.never)
    for turn in range(2):
        for part, offset in zip(parts, offsets, strict=False):
            sample = _core.Reader().open((str(shard), offset, len(part)), 0, cache=cache.native)
            assert sample.was_cached == bool(turn) and sample.draw(recipe, _core.Mt19937(0))
            assert np.array_equal(sample.read(form), _core.jpeg_decode(part))
            assert cache.contains(fastload.engine.ByteRange(str(shard), offset, len(part), "part"))


def test_needs_native_samples(root):
    loader = fastload.DataLoader([1, 2, 3], cache="encoded")
    with pytest.raises(ValueError, match="cache='encoded' needs samples made natively, but: the data set"):
        iter(loader)
    with pytest.raises(ValueError, match="keeps what the CPU decodes"):
        fastload.DataLoader([1], cache="decoded", decode=fastload.GpuDecode("auto"), device="cpu")


def test_more_than_there_is(root, monkeypatch):
    free = min(limit.free for limit in read_memory_limits())
    total = min(limit.total for limit in read_memory_limits())
    with pytest.raises(ValueError, match=r"cache_bytes=\d+ .* is more than is there at all"):
        fastload.DataLoader(ImageFolder(root, TRAIN), cache="decoded", cache_bytes=total + 1)
    loader = fastload.DataLoader(ImageFolder(root, TRAIN), cache="decoded", cache_bytes=total)
    assert free < total
    with pytest.raises(ValueError, match=r"cache_bytes=\d+ .* is more than is free in"):
        iter(loader)
    assert "is more than is free in" in loader.explain()


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMINFO = "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 900 kB\n"


def test_control_groups_limit_memory(tmp_path):
    write_tree(
        tmp_path / "v2",
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/job\n",
            "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/job/memory.max": "500000\n",
            "sys/fs/cgroup/job/memory.current": "300000\n",
            "sys/fs/cgroup/job/memory.stat": "anon 100000\nshmem 50000\ninactive_file 90000\nactive_file 10000\n",
        },
    )
    write_tree(
        tmp_path / "v1",
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/job\n",
            "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "500000\n",
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "300000\n",
            "sys/fs/cgroup/memory/job/memory.stat": "total_inactive_file 100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    for version in ("v1", "v2"):
        machine, group = read_memory_limits(tmp_path / version)
        assert (machine.total, machine.free) == (1000 * 1024, 900 * 1024)
        assert (group.total, group.free) == (500000, 300000)
    assert read_memory_limits(tmp_path / "nothing") == []


def test_explain_says_what_fits(root):
    dataset = ImageFolder(root, TRAIN)
    text = fastload.DataLoader(dataset, cache="decoded", cache_bytes=ROOM).explain()
    assert "cache: the pixels of whole images, 0.0168 GB of memory at most" in text and text.endswith("all fit")
    text = fastload.DataLoader(dataset, cache="encoded", cache_bytes=20000).explain()
    assert "cache: the bytes of files" in text and text.endswith("% fit")
    assert "cache:" not in fastload.DataLoader(dataset).explain()
    assert fastload.DataLoader(dataset).stats()["cache"] is None


def test_half_of_what_is_free_if_nobody_says(root):
    loader = fastload.DataLoader(ImageFolder(root, TRAIN), cache="encoded")
    before = min(limit.free for limit in read_memory_limits())
    list(loader)
    assert before * 0.3 < loader.stats()["cache"]["capacity"] < before * 0.7


@pytest.mark.parametrize("simd", _core.simd_variants())
def test_pixels_come_back(simd):
    rng = np.random.default_rng(0)
    for height, width in [(1, 1), (1, 40), (5, 7), (16, 16), (17, 33)]:
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        gray = np.repeat(image[:, :, :1], 3, axis=2)
        for x, y, w, h in [(0, 0, width, height), (width // 2, height // 3, width - width // 2, 1), (0, 0, 1, 1)]:
            for pixels, channels in [(image, 3), (gray, 1)]:
                there, back = _core.compact(pixels, (x, y, w, h), simd)
                assert there == channels and np.array_equal(back, pixels[y : y + h, x : x + w])


def test_pictures_of_photos(photo_folder, tmp_path):
    (tmp_path / "a").mkdir()
    for photo in sorted(photo_folder.glob("*.JPEG"))[:24]:
        shutil.copy(photo, tmp_path / "a")
    transform = v1.Compose(
        [v1.RandomResizedCrop(224), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)]
    )
    for kind in KINDS:
        assert_stocks(ImageFolder(tmp_path, transform), kind, cache_bytes=1 << 26, num_workers=2)
