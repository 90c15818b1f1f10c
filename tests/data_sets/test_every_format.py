"""Whatever holds the samples of a class folder, the batches are the folder's: on threads, in workers, on ranks, gone on with."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import pickle
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as T
from stores import ObjectServer, stay_here
from torch.utils.data import ConcatDataset, DistributedSampler, Subset
from torch.utils.data import DataLoader as StockLoader
from torchvision.datasets import ImageFolder

import children
import fastload
from fastload import DataLoader, StatefulDataLoader
from fastload.conversion import convert
from images import jpeg_bytes, picture, write_folder

TRAIN = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize([0.5] * 3, [0.2] * 3)])
IN_PYTHON = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor(), T.Lambda(torch.neg)])
BATCH = 4
# Format by format: what must be installed.
NEEDS = {
    "webdataset": (),
    "remote": (),
    "tfrecord": (),
    "lmdb": ("lmdb",),
    "parquet": ("pyarrow",),
    "snappy": ("pyarrow",),
    "from_hf": ("pyarrow", "datasets"),
}
HERE = [name for name, needed in NEEDS.items() if all(map(importlib.util.find_spec, needed))]


def missing(name):
    return pytest.mark.skipif(name not in HERE, reason=f"needs {', '.join(NEEDS[name])}")


every_format = pytest.mark.parametrize("name", [pytest.param(name, marks=missing(name)) for name in NEEDS])


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def odd_images():
    """What real sets have among their photos; two images with one stem, which formats with keys must tell apart."""
    photo = picture(100, 40, 30)
    return {
        "class0/000.png": saved(photo, "PNG"),
        "class0/gray.jpg": saved(photo.convert("L"), "JPEG"),
        "class1/cmyk.jpg": saved(photo.convert("CMYK"), "JPEG"),
        "class1/progressive.jpg": saved(photo, "JPEG", progressive=True),
        "class1/two.dots and spaces.JPEG": jpeg_bytes(101, 33, 21),
        "class2/palette.png": saved(photo.convert("P"), "PNG"),
        "class2/really a png.jpg": saved(photo.convert("RGBA"), "PNG"),
        "class2/tiny.jpg": saved(PIL.Image.new("RGB", (1, 1), (9, 99, 199)), "JPEG"),
    }


class Formats:
    """The images of a class folder in every format, each written when it is first asked for."""

    def __init__(self, root: Path, images: dict[str, bytes]) -> None:
        self.root = root
        self.folder = write_folder(root / "folder", classes=3, images=6, largest=60)
        for name, data in images.items():
            (self.folder / name).write_bytes(data)
        self.places = functools.cache(self._write)
        self.stock = functools.cache(self._stock)
        self.stock_epochs = functools.cache(self._stock_epochs)
        self._servers: list[ObjectServer] = []

    def _write(self, name):
        """Several files, but for an LMDB database."""
        place = self.root / name
        if name == "snappy":
            import pyarrow.parquet

            place.mkdir()
            for path in self.places("parquet").glob("*.parquet"):
                table = pyarrow.parquet.read_table(path)
                pyarrow.parquet.write_table(table, place / path.name, compression="snappy", row_group_size=5)
        elif name == "from_hf":
            import datasets

            files = [str(path) for path in sorted(self.places("parquet").glob("*.parquet"))]
            datasets.disable_progress_bars()
            place = datasets.Dataset.from_parquet(files, cache_dir=str(place))
            datasets.enable_progress_bars()
        elif name == "remote":
            convert(self.folder, place / "bucket" / "set", "webdataset", shard_size=15_000)
            server = ObjectServer(place)
            self._servers.append(server)
            tars = sorted((place / "bucket" / "set").glob("*.tar"))
            place = [f"{server.http}/bucket/set/{path.name}" for path in tars]
        else:
            convert(self.folder, place, name, shard_size=15_000)
        return place

    def open(self, name, transform=None):
        if name == "folder":
            return ImageFolder(self.folder, transform)
        if name == "from_hf":
            return fastload.from_hf(self.places(name), transform=transform)
        kind = {"tfrecord": "TFRecord", "lmdb": "LMDB", "parquet": "Parquet", "snappy": "Parquet"}.get(
            name, "WebDataset"
        )
        return getattr(fastload, kind)(self.places(name), transform)

    def parts(self, name, other, transform):
        """Every second sample of one, and then all of the other."""
        first, second = self.open(name, transform), self.open(other, transform)
        return ConcatDataset([Subset(first, range(1, len(first), 2)), second])

    def _stock(self, transform, num_workers=0, ranks=None, parts=False):
        """The batches of torch's own loader over torchvision's data set."""
        dataset = self.parts("folder", "folder", transform) if parts else self.open("folder", transform)
        return batches(StockLoader, dataset, num_workers=num_workers, ranks=ranks)

    def _stock_epochs(self):
        torch.manual_seed(5)
        loader = StockLoader(self.open("folder", TRAIN), BATCH, shuffle=True, num_workers=2)
        return [list(loader) for _ in range(2)]

    def end(self):
        for server in self._servers:
            server.end()


@pytest.fixture(scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        stay_here(patch)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def formats(tmp_path_factory, _own_cache):
    made = Formats(tmp_path_factory.mktemp("formats"), odd_images())
    yield made
    made.end()


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, _own_cache):
    """With three images that nobody can read."""
    bad = {"class0/bad.jpg": b"no image", "class1/bad.jpg": b"neither", "class2/001 cut.jpg": jpeg_bytes(3)[:700]}
    made = Formats(tmp_path_factory.mktemp("damaged"), bad)
    yield made
    made.end()


def batches(kind, dataset, *, ranks=None, seed=5, **options):
    """All of an epoch; ``ranks``: how many there are, and which one this is."""
    torch.manual_seed(seed)
    if ranks is None:
        options = {"shuffle": True, **options}
    else:
        options["sampler"] = DistributedSampler(dataset, *ranks, seed=3)
        options["sampler"].set_epoch(1)
    return list(kind(dataset, **{"batch_size": BATCH, **options}))


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for (images, targets), (their_images, their_targets) in zip(ours, theirs, strict=True):
        assert torch.equal(images, their_images) and torch.equal(targets, their_targets)


@every_format
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_the_folder(formats, name, num_workers):
    plain = formats.open("folder")
    for transform in (TRAIN, IN_PYTHON):
        ours, expected = formats.open(name, transform), formats.stock(transform, num_workers)
        assert (ours.classes, ours.class_to_idx, ours.targets) == (plain.classes, plain.class_to_idx, plain.targets)
        if transform is TRAIN:
            fastload.require_native(DataLoader(ours, num_workers=num_workers))
            assert_equal(batches(StockLoader, ours, num_workers=num_workers), expected)
        ours = pickle.loads(pickle.dumps(ours))
        assert_equal(batches(DataLoader, ours, num_workers=num_workers), expected)


@every_format
def test_parts_of_two_formats(formats, name):
    other = HERE[HERE.index(name) - 1]
    ours = formats.parts(name, other, TRAIN)
    fastload.require_native(DataLoader(ours))
    for num_workers in (0, 2):
        assert_equal(batches(DataLoader, ours, num_workers=num_workers), formats.stock(TRAIN, num_workers, parts=True))


def test_all_formats_in_a_spawned_worker(formats):
    folder = Subset(formats.open("folder", IN_PYTHON), range(0, 26, 3))
    ours = ConcatDataset([Subset(formats.open(name, IN_PYTHON), folder.indices) for name in HERE])
    spawned = batches(DataLoader, ours, num_workers=1, multiprocessing_context="spawn")
    assert_equal(spawned, batches(StockLoader, ConcatDataset([folder] * len(HERE)), num_workers=1))


@every_format
def test_an_epoch_goes_on_where_it_stopped(formats, name):
    for transform, num_workers in ((TRAIN, 0), (TRAIN, 2), (IN_PYTHON, 0)):
        options = {"batch_size": BATCH, "shuffle": True, "num_workers": num_workers}
        torch.manual_seed(5)
        loader = StatefulDataLoader(formats.open(name, transform), **options)
        first = list(islice(loader, 3))
        state = json.loads(json.dumps(loader.state_dict()))
        torch.manual_seed(77)
        again = StatefulDataLoader(formats.open(name, transform), **options)
        again.load_state_dict(state)
        assert_equal(first + list(again), formats.stock(transform, num_workers))


def samples_of(made):
    """The bytes of each sample's pixels, and its target."""
    return [(x.numpy().tobytes(), int(y)) for xs, ys in made for x, y in zip(xs, ys, strict=True)]


@pytest.fixture(scope="module")
def by_index(formats):
    """The samples of one epoch with rng="index"."""
    return samples_of(batches(DataLoader, formats.open("folder", TRAIN), rng="index", shuffle=False))


@every_format
def test_randomness_by_index(formats, by_index, name):
    ours = formats.open(name, TRAIN)
    assert len(set(by_index)) == len(ours)
    for options in ({"num_workers": 2}, {"batch_size": 7, "threads": 3}):
        assert sorted(samples_of(batches(DataLoader, ours, rng="index", **options))) == sorted(by_index)


@every_format
@pytest.mark.parametrize("after", [3, 4])
def test_an_epoch_goes_on_with_another_number_of_ranks(formats, by_index, name, after):
    """Two ranks take two batches each, more take the rest; every sample is given once, with the pixels that it would have had."""
    dataset = formats.open(name, TRAIN)
    state, given = {}, Counter()
    for ranks, steps in ((2, 2), (after, None)):
        lengths = set()
        for rank in range(ranks):
            torch.manual_seed(5)
            sampler = DistributedSampler(dataset, ranks, rank, seed=8)
            loader = StatefulDataLoader(dataset, BATCH - 1, sampler=sampler, num_workers=rank % 2, rng="index")
            loader.load_state_dict(state)
            made = list(islice(loader, steps))
            lengths.add(len(made))
            last = loader.state_dict()
            given.update(samples_of(made))
        state = json.loads(json.dumps(last))
        assert len(lengths) == 1
    left = len(dataset) - 2 * 2 * (BATCH - 1)
    assert set(given) == set(by_index)
    assert sum(given.values()) == len(dataset) + -left % after


@every_format
@pytest.mark.parametrize("cache", ["encoded", "decoded"])
def test_caches_change_no_batch(formats, name, cache):
    dataset, epochs = formats.open(name, TRAIN), formats.stock_epochs()
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=2, cache=cache, cache_bytes=1 << 24)
    torch.manual_seed(5)
    for expected in epochs:
        assert_equal(list(loader), expected)
    assert loader.stats()["cache"]["hits"] == len(dataset)


@every_format
@pytest.mark.parametrize("count", [2, 4])
def test_ranks_give_the_folders_batches(formats, name, count):
    ours, steps = formats.open(name, TRAIN), set()
    for rank in range(count):
        mine = batches(DataLoader, ours, ranks=(count, rank))
        assert_equal(mine, formats.stock(TRAIN, 0, (count, rank)))
        steps.add(len(mine))
    assert len(steps) == 1


RANK = """
    import pickle, sys, torch
    import torch.distributed as dist
    from test_every_format import DataLoader, batches
    rank, count, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=count)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(16, 1))
    made = {}
    with open(f"{out}/sets", "rb") as file:
        sets = pickle.load(file)
    for name, dataset in sets.items():
        made[name] = batches(DataLoader, dataset, ranks=(count, rank), num_workers=2)
        for images, _ in made[name]:  # unequal steps would never end
            model(images).sum().backward()
    torch.save(made, f"{out}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_that_train(formats, tmp_path, count):
    """Over one format after the other."""
    ignored = [("ignore", "Warning")]
    (tmp_path / "sets").write_bytes(pickle.dumps({name: formats.open(name, TRAIN) for name in HERE}))
    scripts = [children.Script(RANK, rank, count, tmp_path, warnings=ignored) for rank in range(count)]
    for rank, script in enumerate(scripts):
        with script:
            _, errors = script.communicate()
            assert script.wait() == 0, errors[-3000:]
        made = torch.load(tmp_path / f"{rank}.pt")
        assert list(made) == HERE
        for ours in made.values():
            assert_equal(ours, formats.stock(TRAIN, 2, (count, rank)))


@every_format
@pytest.mark.parametrize("policy", ["skip", "replace"])
def test_samples_that_cannot_be_read(damaged, name, policy):
    """The folder's batches, and a ledger that says which sample of which file it was."""
    dataset = damaged.open(name, TRAIN)
    for num_workers in (0, 2):
        options = {"on_error": policy, "num_workers": num_workers}
        plain, ours = (DataLoader(data, BATCH, **options) for data in (damaged.open("folder", TRAIN), dataset))
        made = []
        for loader in (ours, plain):
            torch.manual_seed(5)
            made.append(list(loader))
        assert_equal(*made)
        assert sum(len(targets) for _, targets in made[0]) == len(dataset) - 3 * (policy == "skip")
        assert [error.index for error in ours.errors] == [error.index for error in plain.errors]
        for error, in_folder in zip(ours.errors, plain.errors, strict=True):
            sample = str(Path(in_folder.path).relative_to(damaged.folder))
            assert sample in error.path
            if name != "from_hf":  # which is in memory
                assert any(shard.path in error.path for shard in dataset.samples.sample_index.shards)
            with pytest.raises(fastload.FastloadError) as caught:
                next(iter(DataLoader(Subset(dataset, [error.index]))))
            assert (caught.value.path, caught.value.reason) == (error.path, error.reason)


def read_webdataset(place, folder):
    webdataset = pytest.importorskip("webdataset")
    tars = [str(path) for path in sorted(place.glob("*.tar"))]
    for sample in webdataset.WebDataset(tars, shardshuffle=False, empty_check=False):
        (image,) = (data for ending, data in sample.items() if ending in ("jpg", "png"))
        note = json.loads(sample["json"])
        assert note["label"] == int(sample["cls"])
        yield note["filename"], image, note["label"]


def read_tfrecord(place, folder):
    tfrecord = pytest.importorskip("tfrecord")
    features = {"image/filename": "byte", "image/encoded": "byte", "image/class/label": "int"}
    for path in sorted(place.glob("*.tfrecord*")):
        for sample in tfrecord.tfrecord_loader(str(path), None, features):
            filename, image, label = (sample[feature] for feature in features)
            yield bytes(filename).decode(), bytes(image), int(label[0])


def read_lmdb(place, folder):
    """Names and targets are columns in the value of one key, as docs/index-file.md has them."""
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(place), readonly=True, lock=False) as database, database.begin() as transaction:
        about = transaction.get(b"__fastload__")
        size = int.from_bytes(about[12:16], "little")
        first = -(-(24 + size) // 64) * 64
        columns = {
            name: np.frombuffer(about, column["type"], column["rows"], first + column["start"])
            for name, column in json.loads(about[24 : 24 + size])["columns"].items()
        }
        names = [columns["names"][begin:end].tobytes() for begin, end in pairwise(columns["name_starts"])]
        images = (item for item in transaction.cursor() if item[0].isdigit())
        for (_, image), name, target in zip(images, names, columns["target"], strict=True):
            yield name.decode(), image, target


def read_parquet(place, folder):
    datasets = pytest.importorskip("datasets")
    files = [str(path) for path in sorted(place.glob("*.parquet"))]
    datasets.disable_progress_bars()
    dataset = datasets.Dataset.from_parquet(files, cache_dir=str(folder))
    datasets.enable_progress_bars()
    assert dataset.features["label"].names == ["class0", "class1", "class2"]
    for sample in dataset.cast_column("image", datasets.Image(decode=False)):
        yield sample["image"]["path"], sample["image"]["bytes"], sample["label"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset closes no files
@pytest.mark.parametrize("reader", [read_webdataset, read_tfrecord, read_lmdb, read_parquet])
def test_others_read_what_conversions_write(formats, tmp_path, reader):
    name = reader.__name__.removeprefix("read_")
    if name not in HERE:
        pytest.skip(f"needs {', '.join(NEEDS[name])}")
    plain = formats.open("folder")
    expected = [(str(Path(p).relative_to(formats.folder)), Path(p).read_bytes(), t) for p, t in plain.samples]
    assert list(reader(formats.places(name), tmp_path)) == expected
