"""``datasets``: what it writes is read, what it holds is read as it is, and what this package writes it shows."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import PIL.Image
import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader

from configurations import PlainFiles
from fastload import DataLoader, Parquet, from_hf, write_parquet
from fastload.shards import Record
from images import jpeg_bytes

hf = pytest.importorskip("datasets")

COUNT = 20
CLASSES = ["cat", "dog", "eel"]
TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor()])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="module")
def quiet():
    hf.disable_progress_bars()
    yield
    hf.enable_progress_bars()


@pytest.fixture(scope="module")
def payloads():
    return [jpeg_bytes(number, 40 + number, 30) for number in range(COUNT)]


@pytest.fixture(scope="module")
def dataset(payloads):
    images = [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(payloads)]
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=CLASSES)})
    return hf.Dataset.from_dict({"image": images, "label": [n % 3 for n in range(COUNT)]}, features=features)


def held(images):
    return [bytes(source.read()) for source, _ in images.samples]


def test_what_datasets_writes_is_read(dataset, payloads, tmp_path):
    dataset.to_parquet(tmp_path / "x.parquet")
    dataset.save_to_disk(tmp_path / "disk", num_shards=3)
    for images in (Parquet(tmp_path / "x.parquet"), Parquet(tmp_path / "disk")):
        assert held(images) == payloads
        assert images.targets == [n % 3 for n in range(COUNT)]
        assert images.classes == CLASSES
        assert images.class_to_idx["eel"] == 2
        assert images.samples.name(7) == "7.jpg"
        assert not images.samples.sample_index.unpacked


def forms_of(dataset, tmp_path):
    """The same data set in every way that it may lie in memory, and the rows of the original that it has."""
    everything = list(range(COUNT))
    dataset.save_to_disk(tmp_path / "disk", num_shards=2)
    mapped = hf.load_from_disk(tmp_path / "disk")
    shuffled = dataset.shuffle(seed=3)
    rows = shuffled._indices.column(0).to_pylist()
    return {
        "in memory": (dataset, everything),
        "mapped": (mapped, everything),
        "shuffled": (shuffled, rows),
        "selected": (mapped.select([5, 3, 3, 11]), [5, 3, 3, 11]),
        "contiguous": (mapped.select(range(4, 15)), everything[4:15]),
        "sharded": (mapped.shard(4, 2, contiguous=False), everything[2::4]),
        "concatenated": (hf.concatenate_datasets([mapped, dataset.select([1, 2])]), [*everything, 1, 2]),
        "formatted": (dataset.with_format("torch"), everything),
        "undecoded": (dataset.cast_column("image", hf.Image(decode=False)), everything),
    }


def test_the_samples_of_a_data_set_however_it_lies_in_memory(dataset, payloads, tmp_path):
    for form, (given, rows) in forms_of(dataset, tmp_path).items():
        images = from_hf(given)
        for one in (images, pickle.loads(pickle.dumps(images))):
            assert held(one) == [payloads[row] for row in rows], form
            assert one.targets == [row % 3 for row in rows], form
            assert one.classes == CLASSES, form
    assert images.samples.name(3) == "3.jpg"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_a_folder_of_the_same_files(dataset, payloads, tmp_path, num_workers):
    for number, data in enumerate(payloads):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    in_python = T.Compose([T.Resize((16, 16)), T.ToTensor(), T.Lambda(torch.neg)])
    for transform in (TRANSFORM, in_python):
        plain = PlainFiles([(str(tmp_path / f"{n}.jpg"), n % 3) for n in range(COUNT)], True, transform, None)
        images = from_hf(dataset, transform=transform)
        runs = []
        for kind, one in ((StockLoader, plain), (DataLoader, images), (StockLoader, images)):
            torch.manual_seed(5)
            runs.append(list(kind(one, batch_size=7, shuffle=True, num_workers=num_workers)))
        for others in runs[1:]:
            for mine, theirs in zip(runs[0], others, strict=True):
                assert torch.equal(mine[0], theirs[0])
                assert torch.equal(mine[1], theirs[1])
        assert DataLoader(images).explain().startswith("native:")


def test_images_in_files_of_their_own(payloads, tmp_path):
    paths = []
    for number in range(4):
        paths.append(str(tmp_path / f"{number}.jpg"))
        (tmp_path / f"{number}.jpg").write_bytes(payloads[number])
    dataset = hf.Dataset.from_dict({"image": paths}).cast_column("image", hf.Image())
    images = from_hf(dataset)
    assert images.targets is None
    assert [path for path, _ in images.samples] == paths
    assert images[2].size == dataset[2]["image"].size
    remote = hf.Dataset.from_dict({"image": ["https://example.org/a.jpg"]}).cast_column("image", hf.Image())
    with pytest.raises(ValueError, match=r"elsewhere, as https://example\.org"):
        from_hf(remote)


def test_datasets_turns_and_keeps_modes_and_we_do_as_a_folder_does(tmp_path):
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Orientation] = 6
    turned = jpeg_bytes(1, 40, 30, exif=exif)
    gray = io.BytesIO()
    PIL.Image.new("L", (9, 8), 77).save(gray, "PNG")
    images = [{"bytes": turned, "path": "a.jpg"}, {"bytes": gray.getvalue(), "path": "b.png"}]
    dataset = hf.Dataset.from_dict({"image": images}, features=hf.Features({"image": hf.Image()}))
    assert dataset[0]["image"].size == (30, 40)
    assert dataset[1]["image"].mode == "L"
    (tmp_path / "a.jpg").write_bytes(turned)
    (tmp_path / "b.png").write_bytes(gray.getvalue())
    plain = PlainFiles([(str(tmp_path / name), -1) for name in ("a.jpg", "b.png")], False, T.ToTensor(), None)
    ours = list(DataLoader(from_hf(dataset, transform=T.ToTensor())))
    for number in range(2):
        assert torch.equal(ours[number][0], plain[number])


def test_what_cannot_be_read_is_refused_with_what_to_do(dataset):
    with pytest.raises(TypeError, match=r"IterableDataset.*streaming=False.*fastload\.Parquet"):
        from_hf(dataset.to_iterable_dataset())
    with pytest.raises(TypeError, match=r"one split: dataset\['test'\]"):
        from_hf(hf.DatasetDict({"test": dataset}))
    with pytest.raises(TypeError, match=r"set_transform.*with_format\(None\)"):
        from_hf(dataset.with_transform(lambda rows: rows))
    with pytest.raises(TypeError, match="not list"):
        from_hf([1, 2])
    with pytest.raises(ValueError, match="no column 'picture'; it has 'image', 'label'"):
        from_hf(dataset, image="picture")
    pixels = hf.Dataset.from_dict(
        {"image": torch.zeros(2, 3, 3).tolist()}, features=hf.Features({"image": hf.Array2D((3, 3), "uint8")})
    )
    with pytest.raises(ValueError, match=r"no encoded images|decoded pixels"):
        from_hf(pixels)


def records(payloads, targets=None):
    for number, data in enumerate(payloads):
        target = number % 3 if targets is None else targets[number]
        yield Record(f"{CLASSES[number % 3]}/{number:03d}.jpg", memoryview(data), target, CLASSES[number % 3])


def test_what_is_written_datasets_shows(payloads, tmp_path):
    write_parquet(tmp_path / "x.parquet", records(payloads), CLASSES, row_group=7)
    shown = hf.load_dataset(
        "parquet", data_files=str(tmp_path / "x.parquet"), split="train", cache_dir=str(tmp_path / "hf")
    )
    assert isinstance(shown.features["image"], hf.Image)
    assert shown.features["label"].names == CLASSES
    assert shown[5]["label"] == 2
    raw = shown.cast_column("image", hf.Image(decode=False))
    assert [image["bytes"] for image in raw["image"]] == payloads
    assert raw[5]["image"]["path"] == "eel/005.jpg"
    assert held(from_hf(shown)) == payloads


@pytest.mark.parametrize(
    "targets",
    [None, ["a", "b"] * 10, [{"box": [n, 2.5]} for n in range(COUNT)], [None] * COUNT],
    ids=["classes", "text", "json", "none"],
)
def test_every_record_comes_back(payloads, tmp_path, targets):
    digests = []
    for _ in range(2):
        write_parquet(tmp_path / "x.parquet", records(payloads, targets), None if targets else CLASSES, row_group=6)
        digests.append(hashlib.sha256((tmp_path / "x.parquet").read_bytes()).hexdigest())
        assert list(tmp_path.glob(".*part")) == []
    assert digests[0] == digests[1]
    images = Parquet(tmp_path / "x.parquet")
    expected = list(records(payloads, targets))
    assert held(images) == payloads
    assert [images.samples.name(i) for i in range(COUNT)] == [record.name for record in expected]
    assert images.targets == (None if targets == [None] * COUNT else [record.target for record in expected])
    assert images.classes == ([] if targets else CLASSES)
    assert not images.samples.sample_index.unpacked


def test_a_record_that_is_not_as_the_first_leaves_no_file(payloads, tmp_path):
    for first, odd in ((1, "a"), ("a", 1), (None, 3)):
        with pytest.raises(ValueError, match=r"cat/003\.jpg: the target is"):
            write_parquet(tmp_path / "x.parquet", records(payloads[:4], [first, first, first, odd]))
    assert list(Path(tmp_path).iterdir()) == []
    write_parquet(tmp_path / "x.parquet", [], CLASSES)
    assert len(Parquet(tmp_path / "x.parquet")) == 0
    assert Parquet(tmp_path / "x.parquet").classes == CLASSES
