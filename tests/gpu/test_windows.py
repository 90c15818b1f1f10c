"""decode="gpu" by entry points: every batch equals the CPU's, whatever became of files and records, with DALI and without.

The kernels' own source runs on the CPU; what is particular to a GPU is in benchmarks/gpu.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from torchvision.datasets import ImageFolder

import fastload
from children import run_script
from fastload import GpuDecode, _core
from fastload.batches import choose
from fastload.engine import file_dataset_of
from fastload.entries import EntryFolder, make_entries, parts_of, roots_of
from fastload.gpu import decode_choice, decode_options, device_copy, window_kernels
from images import jpeg_bytes, picture, write_folder
from waiting import until

NORMALIZE = v1.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
END = [v1.ToTensor(), NORMALIZE]
TRAIN = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), *END])
TRANSFORMS = {
    "train": TRAIN,
    "evaluate": v1.Compose([v1.Resize(40), v1.CenterCrop(32), *END]),
    "bicubic": v1.Compose(
        [v1.RandomResizedCrop(24, interpolation=v1.InterpolationMode.BICUBIC), v1.RandomVerticalFlip(), *END]
    ),
    "Lanczos": v1.Compose([v1.Resize((10, 130), interpolation=v1.InterpolationMode.LANCZOS), *END]),
    "crop": v1.Compose([v1.RandomCrop(20), *END]),
}
SETTLED = 0.15  # seconds, after which a file is old enough
ON_CPU = {"device": "cpu", "decode": GpuDecode("gpu", backend="cpu")}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no DALI."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decode_options, "why_missing", lambda: "no DALI")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Of all forms: of baseline files colour in three samplings and gray, and what no kernel takes."""
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=12)
    picture(91, 70, 60).convert("CMYK").save(root / "class1" / "cmyk.jpg", "JPEG")
    picture(92, 70, 60).save(root / "class1" / "picture.png")
    picture(93, 70, 60).save(root / "class2" / "restarts.jpg", restart_marker_rows=1)
    time.sleep(SETTLED)
    return root


@pytest.fixture
def photos(tmp_path):
    """Two classes of four baseline files of one size."""
    for number in range(8):
        folder = tmp_path / "photos" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(jpeg_bytes(number, 120, 90, form=0))
    time.sleep(SETTLED)
    return tmp_path / "photos"


def index(root, every=8):
    return make_entries(file_dataset_of(ImageFolder(root)), every)


def epochs(dataset, count=1, **options):
    torch.manual_seed(3)
    loader = fastload.DataLoader(dataset, **{"batch_size": 6, "shuffle": True, **options})
    return [batch for _ in range(count) for batch in loader], loader


def assert_same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for (images, targets), (expected, expected_targets) in zip(ours, theirs, strict=True):
        assert images.stride() == expected.stride() and images.dtype == expected.dtype
        assert torch.equal(images, expected) and torch.equal(targets, expected_targets)


@pytest.mark.parametrize("every", [4, 8, 16, 0])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_batches_are_those_of_the_cpu(root, every, workers, name):
    dataset = ImageFolder(root, TRANSFORMS[name])
    theirs, _ = epochs(dataset, num_workers=workers, entries="off")
    made = index(root, every).made
    ours, loader = epochs(dataset, num_workers=workers, **ON_CPU)
    assert_same(ours, theirs)
    figures = loader.stats()
    decoders = figures["decoders"]
    assert decoders["codes"] == made - 1 and decoders["gpu"] == 0  # but for the one of four components
    assert decoders["split"] == 0 and figures["entries"] == {"used": made, "made": 0, "ignored": 0}
    assert decoders["cpu"] == len(dataset) - decoders["codes"]
    assert "entered where entry points are known" in loader.explain() and "DALI" not in loader.explain()


@pytest.mark.parametrize(
    "options",
    [{"memory_format": torch.channels_last, "dtype": torch.bfloat16}, {"rng": "index"}, {"entries": "verify"}],
    ids=str,
)
def test_options(root, options):
    index(root)
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, num_workers=2, **ON_CPU, **options)
    assert_same(ours, epochs(dataset, num_workers=2, **{**options, "entries": "off"})[0])
    assert loader.stats()["decoders"]["codes"] > 0


@pytest.mark.parametrize("how", ["gpu", "hybrid"])
@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_made_in_one_epoch_is_entered_in_the_next(root, how, workers):
    """Threads read the codes of the first, and keep entry points where that costs little."""
    dataset = ImageFolder(root, TRAIN)
    decode = GpuDecode(how, backend="cpu")
    torch.manual_seed(3)
    loader = fastload.DataLoader(dataset, 6, shuffle=True, num_workers=workers, device="cpu", decode=decode)
    ours, first = list(loader), loader.stats()
    assert first["decoders"]["codes"] == 0 and first["entries"]["made"] > 0
    if workers == 0:
        assert first["decoders"]["split"] > 0
    ours += list(loader)
    assert_same(ours, epochs(dataset, 2, num_workers=workers, entries="off")[0])
    second = loader.stats()
    assert 0 < second["entries"]["used"] <= first["entries"]["made"]
    decoders = second["decoders"]
    assert decoders["cpu"] + decoders["gpu"] + decoders["split"] + decoders["codes"] == len(dataset)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("policy", ["raise", "skip", "replace"])
def test_a_broken_file_fails_alone(photos, policy, workers):
    index(photos)
    dataset = ImageFolder(photos, TRAIN)
    broken = photos.parent / "broken.jpg"
    broken.write_bytes(b"no image")
    dataset.samples[3] = (str(broken), 1)

    def run(**options):
        torch.manual_seed(0)
        loader = fastload.DataLoader(dataset, 3, on_error=policy, num_workers=workers, **options)
        iterator, batches, errors = iter(loader), [], []
        while True:
            try:
                batches.append(next(iterator))
            except fastload.FastloadError as error:
                errors.append((error.index, error.path, error.reason))
            except StopIteration:
                return batches, errors, loader.errors

    ours, theirs = run(**ON_CPU), run()
    assert_same(ours[0], theirs[0])
    assert ours[1:] == theirs[1:] and len(ours[2]) == 1


def lying(root, rng):
    """All records of a folder, each with some bits of its entry points changed, and a checksum that fits."""
    (known,) = roots_of([file_dataset_of(ImageFolder(root))])
    ((path, _, _, at, size), count), *none = EntryFolder(known.cache, known.folder).files()
    assert not none
    with open(path, "r+b") as file:
        file.seek(at)
        records = bytearray(file.read(size))
        begin = 0
        while begin < size:
            length = int.from_bytes(records[begin + 8 : begin + 12], "little")
            rows = int.from_bytes(records[begin + 76 : begin + 78], "little")
            header = int.from_bytes(records[begin + 6 : begin + 8], "little")
            points = begin + 88 + 4 * (rows + 1)
            for _ in range(3):
                records[rng.integers(points, begin + length - header - 16)] ^= 1 << rng.integers(8)
            body = bytes(records[begin : begin + 12] + records[begin + 16 : begin + length])
            records[begin + 12 : begin + 16] = _core.crc32c(body).to_bytes(4, "little")
            begin += length
        file.seek(at)
        file.write(records)
    return count


@pytest.mark.parametrize("workers", [0, 2])
def test_codes_that_do_not_fit_their_record_are_decoded_by_the_engine(photos, workers):
    assert index(photos, 1).made == 8
    dataset = ImageFolder(photos, TRANSFORMS["evaluate"])
    theirs, _ = epochs(dataset, num_workers=workers, entries="off", batch_size=3)
    assert lying(photos, np.random.default_rng(2)) == 8
    ours, loader = epochs(dataset, num_workers=workers, **ON_CPU, batch_size=3)
    assert_same(ours, theirs)
    figures = loader.stats()
    refused = figures["decoders"]["reasons"]["refused"]
    assert refused >= 4 and figures["entries"] == {"used": 8 - refused, "made": 0, "ignored": refused}
    assert figures["decoders"]["codes"] == 8 - refused and figures["decoders"]["cpu"] == refused


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("slots", [[0], [1, 2], [0, 1, 2]])
def test_faults_of_some_images(photos, monkeypatch, workers, slots):
    make = window_kernels.WindowKernels.make

    class Some:
        def slots(self):
            return slots

    def make_wrongly(self, batch, pixels):
        make(self, batch, pixels)
        pixels[slots] = 99
        return Some()

    monkeypatch.setattr(window_kernels.WindowKernels, "make", make_wrongly)
    index(photos)
    dataset = ImageFolder(photos, TRAIN)
    ours, loader = epochs(dataset, num_workers=workers, **ON_CPU, batch_size=4)
    assert_same(ours, epochs(dataset, num_workers=workers, entries="off", batch_size=4)[0])
    assert loader.stats()["decoders"]["reasons"] == {"refused": 2 * len(slots)}


def test_a_file_that_is_gone_when_its_codes_do_not_fit(photos, monkeypatch):
    """Reported like any sample that cannot be read."""
    make = window_kernels.WindowKernels.make

    class First:
        def slots(self):
            return [0]

    def make_wrongly(self, batch, pixels):
        make(self, batch, pixels)
        for path in photos.glob("*/*.jpg"):
            path.unlink()
        return First()

    monkeypatch.setattr(window_kernels.WindowKernels, "make", make_wrongly)
    index(photos)
    dataset = ImageFolder(photos, TRAIN)
    loader = fastload.DataLoader(dataset, 8, **ON_CPU)
    with pytest.raises(FileNotFoundError):
        next(iter(loader))
    assert [error.index for error in loader.errors] == [0]


def test_files_that_are_replaced_while_they_have_records(photos):
    index(photos)
    dataset = ImageFolder(photos, TRAIN)
    for number, (path, _) in enumerate(dataset.samples[:3]):
        with open(path, "wb") as file:
            file.write(jpeg_bytes(20 + number, 60, 50, form=0))
    ours, loader = epochs(dataset, num_workers=2, **ON_CPU)
    assert_same(ours, epochs(dataset, num_workers=2, entries="off")[0])
    assert loader.stats()["entries"]["ignored"] == 3 and loader.stats()["decoders"]["codes"] == 5


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("place", ["pixels", "block"])
def test_memory_comes_back_of_batches_for_which_the_gpu_has_none(photos, monkeypatch, workers, place):
    index(photos)
    options = ON_CPU if place == "block" else {"device": "cpu"}  # whose pixels are in a block of the engine's
    loader = fastload.DataLoader(ImageFolder(photos, TRAIN), 4, num_workers=workers, **options)
    list(loader)
    blocks = loader._on_device.destination.staging._blocks

    def no_memory(*given, **options):
        raise torch.OutOfMemoryError("no memory")

    with monkeypatch.context() as patch:
        without = SimpleNamespace(**{**vars(torch), "empty": no_memory})
        patch.setattr(device_copy if place == "pixels" else window_kernels, "torch", without)
        for _ in range(5):
            with pytest.raises(torch.OutOfMemoryError):
                next(iter(loader))
    # Of an epoch's two batches, and half as much again that may wait; what did not come back would stay.
    until(lambda: list(loader) and len(blocks) <= 3, "three blocks at most")


def uses_dali(loader, how):
    settings = loader._settings()
    return decode_options.uses_dali(settings, choose(settings), GpuDecode(how, backend="cpu"))


@pytest.mark.parametrize("missing", [True, False])
def test_whoever_has_entry_points_needs_no_dali(photos, monkeypatch, missing):
    monkeypatch.setattr(decode_options, "why_missing", lambda: "no DALI" if missing else "")
    assert uses_dali(fastload.DataLoader(ImageFolder(photos, TRAIN), 4, **ON_CPU), "gpu") is not missing
    index(photos)
    loader = fastload.DataLoader(ImageFolder(photos, TRAIN), 4, **ON_CPU)
    list(loader)
    assert not uses_dali(loader, "gpu") and loader._on_device.decoding.decoder is None
    assert uses_dali(loader, "dali")


def test_dali_is_needed_by_who_asks_for_it():
    with pytest.raises(ValueError, match="decode='dali': no DALI"):
        fastload.DataLoader([1], device="cpu", decode=GpuDecode("dali", backend="cpu"))


def test_auto_measures_again_when_there_are_entry_points(photos, monkeypatch):
    monkeypatch.setattr("fastload.gpu.decode_measurement._TIMED_SECONDS", 0.02)
    monkeypatch.setattr("fastload.gpu.decode_measurement._WARM_SECONDS", 0.02)
    measured, measure = [], decode_choice.measure
    monkeypatch.setattr(decode_choice, "measure", lambda *given: measured.append(given) or measure(*given))
    dataset = ImageFolder(photos, TRAIN)
    loader = fastload.DataLoader(dataset, 4, num_workers=1, device="cpu", decode=GpuDecode("auto", backend="cpu"))
    index(photos)  # since then there are some
    list(loader)
    list(loader)
    assert len(measured) == 1
    (known,) = roots_of([file_dataset_of(dataset)])
    for path in known.cache.iterdir():
        path.unlink()
    list(loader)
    assert len(measured) == 2


def test_records_are_found_in_a_file_of_another_machine(photos, tmp_path):
    make_entries(file_dataset_of(ImageFolder(photos)), 16, copy_to=tmp_path / "all.entries")
    assert parts_of(tmp_path / "all.entries")[1] == 8
    dataset = ImageFolder(photos, TRAIN)
    ours, loader = epochs(dataset, num_workers=1, entries=tmp_path / "all.entries", **ON_CPU)
    assert_same(ours, epochs(dataset, num_workers=1, entries="off")[0])
    assert loader.stats()["decoders"]["codes"] == 8


def test_an_epoch_that_is_left_and_a_program_that_ends(photos):
    index(photos)
    loader = fastload.DataLoader(ImageFolder(photos, TRAIN), 2, num_workers=2, persistent_workers=True, **ON_CPU)
    for _ in range(3):
        next(iter(loader))
    assert len(list(loader)) == 4
    script = """
        import sys, torchvision.transforms as T
        from torchvision.datasets import ImageFolder
        import fastload
        dataset = ImageFolder(sys.argv[1], T.Compose([T.RandomResizedCrop(32), T.ToTensor()]))
        decode = fastload.GpuDecode("gpu", backend="cpu")
        loader = fastload.DataLoader(dataset, 1, num_workers=2, device="cpu", decode=decode, sampler=list(range(8)) * 20)
        next(iter(loader))
        print("end")
    """
    done = run_script(script, photos)
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)
