"""Parquet and Arrow files as others write them: the samples, targets and batches of a plain folder of the same bytes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader

import fastload
from configurations import PlainFiles
from fastload import DataLoader, Parquet
from fastload.datasets import ImageFolder
from images import jpeg_bytes

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

COUNT = 24
CLASSES = ["cat", "dog", "eel"]
TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor()])


@pytest.fixture(scope="module")
def payloads():
    return [jpeg_bytes(number, 40 + number, 30) for number in range(COUNT)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def struct_table(payloads, **columns):
    images = [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(payloads)]
    columns = {"image": images, "label": [number % 3 for number in range(len(payloads))], **columns}
    return pyarrow.table({name: column for name, column in columns.items() if column is not None})


def swapped_table(payloads):
    images = [{"path": f"{number}.jpg", "bytes": data} for number, data in enumerate(payloads)]
    return pyarrow.table({"label": [n % 3 for n in range(COUNT)], "image": images})


def bytes_table(payloads, kind):
    return pyarrow.table({"image": pyarrow.array(payloads, kind), "label": [n % 3 for n in range(COUNT)]})


WRITERS = {
    "plain": lambda p, f: parquet.write_table(struct_table(p), f, compression="none", use_dictionary=False),
    "v2 pages": lambda p, f: parquet.write_table(
        struct_table(p), f, compression="none", use_dictionary=False, data_page_version="2.0", row_group_size=7
    ),
    "dictionary": lambda p, f: parquet.write_table(struct_table(p), f, compression="none"),
    "small dictionary": lambda p, f: parquet.write_table(
        struct_table(p), f, compression="none", dictionary_pagesize_limit=4000, data_page_size=3000, write_batch_size=3
    ),
    "small pages": lambda p, f: parquet.write_table(
        struct_table(p),
        f,
        compression="none",
        use_dictionary=False,
        data_page_size=3000,
        write_batch_size=2,
        row_group_size=9,
        write_page_index=True,
    ),
    "order swapped": lambda p, f: parquet.write_table(swapped_table(p), f, compression="none", use_dictionary=False),
    "large_binary": lambda p, f: parquet.write_table(
        bytes_table(p, pyarrow.large_binary()), f, compression="none", use_dictionary=False
    ),
    "not nullable": lambda p, f: parquet.write_table(
        bytes_table(p, pyarrow.binary()).cast(
            pyarrow.schema([pyarrow.field("image", pyarrow.binary(), nullable=False), ("label", pyarrow.int64())])
        ),
        f,
        compression="none",
        use_dictionary=False,
    ),
    "snappy": lambda p, f: parquet.write_table(struct_table(p), f, row_group_size=10),
    "zstd": lambda p, f: parquet.write_table(bytes_table(p, pyarrow.binary()), f, compression="zstd"),
    "delta": lambda p, f: parquet.write_table(
        struct_table(p),
        f,
        compression="none",
        use_dictionary=False,
        column_encoding={"image.list.element": "PLAIN", "image.bytes": "DELTA_LENGTH_BYTE_ARRAY"},
    ),
    "arrow file": lambda p, f: write_arrow(f, struct_table(p), pyarrow.ipc.new_file),
    "arrow stream": lambda p, f: write_arrow(f, struct_table(p), pyarrow.ipc.new_stream),
    "arrow views": lambda p, f: write_arrow(f, bytes_table(p, pyarrow.binary_view()), pyarrow.ipc.new_stream),
    "arrow lz4": lambda p, f: write_arrow(
        f, struct_table(p), pyarrow.ipc.new_stream, options=pyarrow.ipc.IpcWriteOptions(compression="lz4")
    ),
}
UNPACKED = {"snappy", "zstd", "delta", "arrow lz4", "arrow views"}


def write_arrow(path, table, writer, **options):
    with pyarrow.OSFile(str(path), "wb") as file, writer(file, table.schema, **options) as into:
        into.write_table(table, max_chunksize=10)


@pytest.mark.parametrize("form", WRITERS)
def test_every_sample_of_what_pyarrow_writes(form, payloads, tmp_path):
    WRITERS[form](payloads, tmp_path / "x.parquet")
    for _ in range(2):  # the second time from the index that is kept
        dataset = Parquet(tmp_path / "x.parquet")
        assert [source.read() for source, _ in dataset.samples] == payloads
        assert dataset.targets == [n % 3 for n in range(COUNT)]
        index = dataset.samples.sample_index
        assert bool(index.unpacked) == (form in UNPACKED)
        assert index.path is not None
        assert (tmp_path / "cache" / "fastload" / "unpacked").exists() == (form in UNPACKED)
    assert dataset.samples.name(3) in ("3.jpg", "x-00000003")


def test_batches_are_those_of_a_folder_of_the_same_files(payloads, tmp_path):
    for number, data in enumerate(payloads):
        folder = tmp_path / "folder" / CLASSES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.jpg").write_bytes(data)
    folder = ImageFolder(tmp_path / "folder", TRANSFORM)
    table = struct_table(
        [Path(path).read_bytes() for path, _ in folder.samples], label=[target for _, target in folder.samples]
    )
    parquet.write_table(table, tmp_path / "snappy.parquet", row_group_size=10)
    parquet.write_table(table, tmp_path / "plain.parquet", compression="none", use_dictionary=False)
    datasets = [Parquet(tmp_path / f"{form}.parquet", TRANSFORM) for form in ("snappy", "plain")]
    for num_workers in (0, 2):
        runs = []
        for kind, dataset in [(StockLoader, folder), *((DataLoader, one) for one in datasets)]:
            torch.manual_seed(5)
            runs.append(list(kind(dataset, batch_size=7, shuffle=True, num_workers=num_workers)))
        for others in runs[1:]:
            for mine, theirs in zip(runs[0], others, strict=True):
                assert torch.equal(mine[0], theirs[0])
                assert torch.equal(mine[1], theirs[1])
    assert DataLoader(datasets[0]).explain().startswith("native:")


def test_several_files_are_one_set_in_the_order_given(payloads, tmp_path):
    for name, part in (("train-00000-of-00002", payloads[:10]), ("train-00001-of-00002", payloads[10:])):
        parquet.write_table(struct_table(part), tmp_path / f"{name}.parquet", compression="none")
    by_folder = Parquet(tmp_path)
    assert [source.read() for source, _ in by_folder.samples] == payloads
    assert len({by_folder.samples.name(i) for i in range(COUNT)}) == COUNT  # paths are not distinct
    assert by_folder.samples.name(11) == "train-00001-of-00002-00000001/1.jpg"
    pattern = Parquet(str(tmp_path / "train-*1-of*"))
    assert [source.read() for source, _ in pattern.samples] == payloads[10:]
    assert len(Parquet(str(tmp_path / "train-{00000..00001}-of-00002.parquet"))) == COUNT
    reverse = Parquet(sorted(tmp_path.glob("*.parquet"), reverse=True))
    assert [source.read() for source, _ in reverse.samples] == payloads[10:] + payloads[:10]
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match="several splits, test, train"):
        Parquet(tmp_path)


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_without_bytes_the_path_is_read_from_the_folder_of_the_file(payloads, tmp_path, compression):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(payloads[1])
    images = [
        {"bytes": payloads[0], "path": "a"},
        {"bytes": None, "path": "images/1.jpg"},
        {"bytes": None, "path": None},
    ]
    table = pyarrow.table({"image": [*images, None], "label": pyarrow.array([4, None, 6, 7])})
    parquet.write_table(table, tmp_path / "x.parquet", compression=compression)
    write_arrow(tmp_path / "x.arrow", table, pyarrow.ipc.new_stream)
    for name in ("x.parquet", "x.arrow"):
        dataset = Parquet(tmp_path / name, T.ToTensor())
        assert dataset.targets == [4, -1, 6, 7]
        assert dataset.samples[1][0] == str(tmp_path / "images" / "1.jpg")
        plain = PlainFiles([(str(tmp_path / "images" / "1.jpg"), -1)], True, T.ToTensor(), None)
        batch = next(iter(DataLoader(torch.utils.data.Subset(dataset, [1]))))
        assert torch.equal(batch[0][0], plain[0][0])
        for number in (2, 3):
            with pytest.raises(fastload.FastloadError, match=f"sample x-0000000{number} at byte 0"):
                list(DataLoader(torch.utils.data.Subset(dataset, [number])))


def test_paths_elsewhere_are_refused(tmp_path):
    table = pyarrow.table({"image": [{"bytes": None, "path": "https://example.org/a.jpg"}]})
    parquet.write_table(table, tmp_path / "x.parquet")
    write_arrow(tmp_path / "x.arrow", table, pyarrow.ipc.new_stream)
    for name in ("x.parquet", "x.arrow"):
        with pytest.raises(ValueError, match=r"bytes of 1 images are not there.*https://example\.org/a\.jpg"):
            Parquet(tmp_path / name)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["a", "b", "a"], ["a", "b", "a"]),
        (pyarrow.array(["a", None, "c"]).dictionary_encode(), ["a", "", "c"]),
        ([True, False, True], [1, 0, 1]),
        (pyarrow.array([5, 6, 7], pyarrow.uint8()), [5, 6, 7]),
        ([[1, 2], [], [3]], [[1, 2], [], [3]]),
        ([{"x": 0.5}, {"x": 1.0}, None], [{"x": 0.5}, {"x": 1.0}, None]),
        (None, None),
    ],
    ids=["text", "categories", "bool", "uint8", "lists", "objects", "none"],
)
def test_targets_of_every_kind(payloads, tmp_path, column, expected):
    parquet.write_table(struct_table(payloads[:3], label=column), tmp_path / "x.parquet")
    write_arrow(tmp_path / "x.arrow", struct_table(payloads[:3], label=column), pyarrow.ipc.new_file)
    for name in ("x.parquet", "x.arrow"):
        dataset = Parquet(tmp_path / name)
        assert dataset.targets == expected
        item = dataset[1]
        assert (item[1] == expected[1]) if expected else item.mode == "RGB"


def test_what_is_no_image_and_what_is_not_there_is_said(payloads, tmp_path):
    tables = {
        "lists": pyarrow.table({"image": [[payloads[0]], [payloads[1]]], "label": [0, 1]}),
        "pixels": pyarrow.table({"image": [[[1, 2], [3, 4]]], "label": [0]}),
        "numbers": pyarrow.table({"image": [1, 2], "label": [0, 1]}),
        "other": pyarrow.table({"picture": payloads[:2], "class": [0, 1]}),
    }
    for name, table in tables.items():
        parquet.write_table(table, tmp_path / f"{name}.parquet")
        write_arrow(tmp_path / f"{name}.arrow", table, pyarrow.ipc.new_stream)
    for ending in ("parquet", "arrow"):
        with pytest.raises(ValueError, match=r"column 'image' is list<.*one encoded image a row"):
            Parquet(tmp_path / f"lists.{ending}")
        with pytest.raises(ValueError, match="decoded pixels"):
            Parquet(tmp_path / f"pixels.{ending}")
        with pytest.raises(ValueError, match="int64: no encoded images"):
            Parquet(tmp_path / f"numbers.{ending}")
        with pytest.raises(ValueError, match=r"no column 'image'; it has 'picture', 'class'"):
            Parquet(tmp_path / f"other.{ending}")
        with pytest.raises(ValueError, match=r"no column 'label' for the target; it has 'class'.*target=None"):
            Parquet(tmp_path / f"other.{ending}", image="picture")
        assert Parquet(tmp_path / f"other.{ending}", image="picture", target="class").targets == [0, 1]
        assert Parquet(tmp_path / f"other.{ending}", image="picture", target=None).targets is None
    (tmp_path / "text.parquet").write_text("no such file")
    with pytest.raises(ValueError, match="neither a Parquet nor an Arrow file"):
        Parquet(tmp_path / "text.parquet")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Parquet(tmp_path / "nowhere.parquet")
    with pytest.raises(FileNotFoundError, match="no file is named like"):
        Parquet(str(tmp_path / "no*where.parquet"))


def test_what_was_unpacked_is_made_again_where_it_is_gone_or_old(payloads, tmp_path, monkeypatch):
    place = tmp_path / "cache" / "fastload" / "unpacked"
    file = tmp_path / "x.parquet"
    parquet.write_table(struct_table(payloads), file)
    Parquet(file)
    (values,) = place.glob("*.values")
    values.unlink()
    assert Parquet(file).samples[5][0].read() == payloads[5]
    parquet.write_table(struct_table(payloads[::-1]), file)
    os.utime(file, ns=(1, 1))
    assert Parquet(file).samples[5][0].read() == payloads[-6]
    assert len(list(place.iterdir())) == 2  # the old ones are gone
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    os.utime(file, ns=(2, 2))
    with pytest.raises(OSError, match=r"take 0\.00 GB unpacked.*XDG_CACHE_HOME"):
        Parquet(file)


def test_training_imports_no_pyarrow(payloads, tmp_path):
    WRITERS["plain"](payloads, tmp_path / "x.parquet")
    Parquet(tmp_path / "x.parquet")
    code = f"""
import sys, pickle
import fastload, torchvision.transforms as T
transform = T.Compose([T.Resize((8, 8)), T.ToTensor()])
for workers in (0, 2):
    dataset = fastload.Parquet({str(tmp_path / "x.parquet")!r}, transform)
    assert len(list(fastload.DataLoader(pickle.loads(pickle.dumps(dataset)), batch_size=4, num_workers=workers))) == 6
assert "pyarrow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_samples_are_left_out_by_a_file_of_names(payloads, tmp_path):
    WRITERS["plain"](payloads, tmp_path / "x.parquet")
    (tmp_path / "bad.txt").write_text('0.jpg\n"5.jpg"\n\nnone such.jpg\r\n')
    dataset = Parquet(tmp_path / "x.parquet", exclude=tmp_path / "bad.txt")
    assert [dataset.samples.name(i) for i in (0, 3, 4)] == ["1.jpg", "4.jpg", "6.jpg"]
    assert len(pickle.loads(pickle.dumps(dataset))) == COUNT - 2
    (tmp_path / "bad.txt").write_text('"0.jpg\n')
    with pytest.raises(ValueError, match=r"bad\.txt, line 1"):
        Parquet(tmp_path / "x.parquet", exclude=str(tmp_path / "bad.txt"))


def test_an_empty_file_is_an_empty_set(tmp_path):
    parquet.write_table(struct_table([b"x"])[:0], tmp_path / "x.parquet")
    write_arrow(tmp_path / "x.arrow", struct_table([b"x"])[:0], pyarrow.ipc.new_stream)
    assert len(Parquet(tmp_path / "x.parquet")) == len(Parquet(tmp_path / "x.arrow")) == 0


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        # Headers and the footer are where damage tells.
        near = (
            (0, 400) if rng.random() < 0.3 else (len(data) - 2500, len(data)) if rng.random() < 0.6 else (0, len(data))
        )
        data[int(rng.integers(max(near[0], 0), near[1]))] ^= int(rng.integers(1, 256))
    return bytes(data[: int(rng.integers(len(data)))] if rng.random() < 0.15 else data)


def look_at_damaged(forms, payloads, tmp_path, count):
    """Every damaged file is refused with its name, or its values are those that pyarrow reads."""
    rng = np.random.default_rng(len(forms[0]))
    refused = compared = 0
    for number in range(count):
        form = forms[number % len(forms)]
        original = tmp_path / f"{form}.original"
        if not original.exists():
            WRITERS[form](payloads[:6], original)
        path = tmp_path / "damaged.file"
        path.write_bytes(damaged(original.read_bytes(), rng))
        os.utime(path, ns=(number, number))
        try:
            dataset = Parquet(path)
        except ValueError as error:
            assert "damaged.file" in str(error), error
            refused += 1
            continue
        if (theirs := read_by_pyarrow(path)) is not None:
            ours = [(source.read(), target) for source, target in dataset.samples if not isinstance(source, str)]
            assert ours == theirs
            compared += 1
    assert 0 < refused < count
    assert compared > count // 10


def read_by_pyarrow(path):
    """Bytes and target of each sample, None where pyarrow refuses the file."""
    try:
        if path.read_bytes()[:4] == b"PAR1":
            table = parquet.read_table(path)
        else:
            with pyarrow.memory_map(str(path)) as file:
                is_stream = path.read_bytes()[:6] != b"ARROW1"
                table = (pyarrow.ipc.open_stream if is_stream else pyarrow.ipc.open_file)(file).read_all()
        table.validate(full=True)
        return [
            ((image and image["bytes"]) or b"", -1 if target is None else target)
            for image, target in zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)
            if image is None or image["bytes"] is not None or image["path"] is None
        ]
    except (pyarrow.ArrowException, OSError, ValueError):
        return None


FORMS = ["plain", "dictionary", "v2 pages", "snappy", "arrow file", "arrow stream"]


def test_damaged_files_are_refused_or_read(payloads, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    look_at_damaged(FORMS, payloads, tmp_path, 300)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_many_damaged_files_are_refused_or_read(payloads, tmp_path, monkeypatch, form):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    look_at_damaged([form], payloads, tmp_path, 10_000 // len(FORMS))
