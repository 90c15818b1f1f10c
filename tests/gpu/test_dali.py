"""GPU decode, driven by DALI's CPU backend: its pixels are Pillow's, so every batch must equal the CPU's exactly.

All that is particular to a GPU (streams, the compiled kernels, the hardware's own pixels) is in test_device.py and in
benchmarks/gpu/stress.py.
"""

from __future__ import annotations

import functools
import gc
import io
import os
import pickle
import threading
import time
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torchvision.transforms as v1
from interpreted import check_equal
from torchvision.datasets import ImageFolder

import fastload
import fastload.gpu.decode_iterator
import fastload.gpu.decode_pipeline
import fastload.gpu.window_kernels
from children import LIMIT, run_script
from fastload import GpuDecode, _core
from fastload.gpu import dali_decoder, dali_library, dali_pipeline, decode_resources, resize_images
from fastload.gpu.bytes_to_values import bytes_target
from fastload.transforms.split_transforms import read
from images import jpeg_bytes, picture, write_folder
from waiting import until

NORMALIZE = v1.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TRAIN = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor(), NORMALIZE])
EVALUATE = v1.Compose([v1.Resize(40), v1.CenterCrop(32), v1.ToTensor(), NORMALIZE])
needs_dali = pytest.mark.skipif(bool(dali_library.why_missing()), reason=dali_library.why_missing())


def gpu(how="dali", **options):
    return GpuDecode(how, backend="cpu", **options)


@pytest.fixture(autouse=True)
def without_entries(monkeypatch):
    """What one epoch keeps would change who decodes the next."""
    monkeypatch.setattr(
        fastload.DataLoader, "__init__", functools.partialmethod(fastload.DataLoader.__init__, entries="off")
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Baseline and progressive, colour and gray, and what no GPU decodes: CMYK and PNG."""
    root = write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=12)
    folder = root / "class1"
    picture(91, 70, 60).convert("CMYK").save(folder / "cmyk.jpg", "JPEG")
    picture(92, 70, 60).save(folder / "picture.png")
    return root


@pytest.fixture
def to_dali(monkeypatch):
    """All batches go there."""
    monkeypatch.setattr(fastload.gpu.decode_iterator.GpuDecodeIterator, "_is_for_decoder", lambda self, images: True)


def epochs(dataset, count=2, seed=3, **options):
    torch.manual_seed(seed)
    loader = fastload.DataLoader(dataset, **{"batch_size": 6, "shuffle": True, "device": "cpu", **options})
    return [batch for _ in range(count) for batch in loader], loader


def assert_same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for (images, targets), (expected, expected_targets) in zip(ours, theirs, strict=True):
        assert images.stride() == expected.stride()
        assert torch.equal(images, expected) and torch.equal(targets, expected_targets)


PLANS = {
    "random_resized_crop": [v1.RandomResizedCrop(24), v1.RandomHorizontalFlip(), v1.RandomVerticalFlip()],
    "resize_center_crop": [v1.Resize(40), v1.CenterCrop(32)],
    "random_crop": [v1.RandomCrop(20)],
    "vertical_first": [v1.Resize((10, 130), interpolation=v1.InterpolationMode.LANCZOS)],
    "horizontal_first": [v1.Resize((90, 30), interpolation=v1.InterpolationMode.BICUBIC), v1.CenterCrop(20)],
    "nearest": [v1.Resize((30, 31), interpolation=v1.InterpolationMode.NEAREST)],
}


def _deferred(transforms, encoded, seed=1):
    """(what the CPU makes, what it leaves to another decoder) of the same draws."""
    reading = read(v1.Compose([*transforms, v1.PILToTensor()]))
    height, width = reading.size
    engine, made = _core.Engine(2), []
    for leave in (_core.Leave.nothing, _core.Leave.bytes):
        out = np.zeros((len(encoded), height, width, 3), np.uint8)
        batch = engine.submit(
            encoded,
            list(range(len(encoded))),
            recipe=reading.recipe,
            target=bytes_target(3),
            size=(height, width),
            out=out,
            order=_core.DrawOrder(_core.Mt19937(seed)),
            seed=0,
            epoch=0,
            stop_at_failure=True,
            max_pixels=0,
            load=None,
            leave=leave,
        )
        assert batch.wait() and not batch.failures
        made.append(out)
    taps = torch.empty(batch.deferred_taps, dtype=torch.int32)
    samples, passes, left = batch.deferred(taps.numpy())
    return made[0], resize_images.Deferred(samples, passes, taps, left)


@pytest.mark.parametrize("plan", PLANS)
def test_the_resize_of_decoded_images_is_pillows(plan):
    encoded = [jpeg_bytes(i, 80 + 13 * i, 60 + 31 * (i % 5), progressive=False, subsampling=0) for i in range(8)]
    expected, left = _deferred(PLANS[plan], encoded)
    assert len(left.encoded) == 8 and left.encoded[3].tobytes() == encoded[3]
    images = [torch.from_numpy(np.array(PIL.Image.open(io.BytesIO(data)).convert("RGB"))) for data in encoded]
    out = torch.zeros(expected.shape, dtype=torch.uint8)
    resize_images.resize(images, left, out)
    assert np.array_equal(out.numpy(), expected)
    some = np.array([6, 1, 4])
    part = torch.zeros(expected.shape, dtype=torch.uint8)
    resize_images.resize([images[i] for i in some], left.only(some), part)
    assert np.array_equal(part[some].numpy(), expected[some]) and not part[0].any()


@pytest.mark.slow
def test_the_resampling_kernel_equals_its_definition():
    """In Triton's interpreter, on the CPU."""
    script = """
        import numpy as np, torch
        from fastload.gpu import resize_images
        from test_dali import PLANS, _deferred, jpeg_bytes, io, PIL
        for name in ("random_resized_crop", "vertical_first", "random_crop"):
            encoded = [jpeg_bytes(i, 40 + 13 * i, 50 - 20 * i, progressive=False, subsampling=0) for i in range(2)]
            expected, left = _deferred(PLANS[name], encoded)
            images = [torch.from_numpy(np.array(PIL.Image.open(io.BytesIO(data)).convert("RGB"))) for data in encoded]
            out = torch.zeros(expected.shape, dtype=torch.uint8)
            assert resize_images.resize_on_gpu(np.array([image.data_ptr() for image in images]), left, out)
            assert np.array_equal(out.numpy(), expected) and expected.any(), name
        print("equal")
    """
    check_equal(script)


FORMS = {"progressive": 12, "colour": 1, "not a plain JPEG": 1}  # of the folder's files that only the CPU decodes
WHO = {
    "dali": ("gpu", lambda self, images: True),
    "threads": ("split", lambda self, images: False),
    "in turn": (None, lambda self, images: self._sent % 2 == 1),
}


@needs_dali
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("transform", [TRAIN, EVALUATE], ids=["train", "evaluate"])
@pytest.mark.parametrize("options", [{}, {"memory_format": torch.channels_last, "dtype": torch.bfloat16}], ids=str)
def test_batches_are_those_of_the_cpu(root, monkeypatch, who, workers, transform, options):
    key, is_for_decoder = WHO[who]
    monkeypatch.setattr(fastload.gpu.decode_iterator.GpuDecodeIterator, "_is_for_decoder", is_for_decoder)
    dataset = ImageFolder(root, transform)
    if who == "in turn" and workers == 0:
        pytest.skip("nothing is sent ahead")
    ours, loader = epochs(dataset, num_workers=workers, decode=gpu(), **options)
    theirs, _ = epochs(dataset, num_workers=workers, **options)
    assert_same(ours, theirs)
    decoders = loader.stats()["decoders"]
    assert decoders["cpu"] + decoders["gpu"] + decoders["split"] == len(dataset)
    assert sum(decoders["reasons"].values()) == decoders["cpu"] and decoders["refused"] == []
    if who == "dali":
        assert decoders["split"] == 0 and decoders["reasons"] == {**FORMS, "sampling": 8}
    elif who == "threads":
        assert decoders["gpu"] == 0 and decoders["reasons"] == FORMS
    else:
        assert decoders["gpu"] > 0 and decoders["split"] > 0


@needs_dali
@pytest.mark.parametrize("how", ["dali", "hybrid"])
@pytest.mark.parametrize("workers", [0, 2])
def test_whoever_decodes_how_much(root, how, workers):
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, num_workers=workers, decode=gpu(how), batch_size=2)
    assert_same(ours, epochs(dataset, num_workers=workers, batch_size=2)[0])
    decoders = loader.stats()["decoders"]
    assert decoders["cpu"] + decoders["gpu"] + decoders["split"] == len(dataset)


@needs_dali
@pytest.mark.parametrize("how", ["dali", "hybrid"])
def test_hybrid_leaves_the_gpu_alone_while_enough_batches_are_waiting(root, how):
    dataset = ImageFolder(root, TRAIN)
    options = {"num_workers": 2, "batch_size": 2}
    loader = fastload.DataLoader(dataset, shuffle=True, device="cpu", decode=gpu(how), **options)
    torch.manual_seed(3)
    ours, iterator = [], iter(loader)
    for batch in iterator:
        ours.append(batch)
        wait([job.made for job in iterator._jobs], LIMIT)
    assert_same(ours, epochs(dataset, count=1, **options)[0])
    balance = loader.stats()["decoders"]["reasons"].get("balance", 0)
    if how == "dali":
        assert balance == 0
    else:  # all but the first four, and maybe one that was sent before those were ready
        assert len(dataset) - 2 * 5 <= balance <= len(dataset) - 2 * 4


@needs_dali
def test_without_kernels_threads_decode_whole_images(root, monkeypatch):
    """As on a GPU without Triton: there is nobody to finish coefficients."""
    made = fastload.gpu.decode_resources.DecodeResources.__init__

    def init(self, *given, **named):
        made(self, *given, **named)
        self.rest = _core.Leave.nothing

    monkeypatch.setattr(fastload.gpu.decode_resources.DecodeResources, "__init__", init)
    monkeypatch.setattr("fastload.gpu.decode_resources._SECONDS_A_THREAD", 1e-9)
    dataset = ImageFolder(root, TRAIN)
    theirs, _ = epochs(dataset, num_workers=2)
    for how in ("dali", "hybrid"):
        ours, loader = epochs(dataset, num_workers=2, decode=gpu(how))
        assert_same(ours, theirs)
        decoders = loader.stats()["decoders"]
        assert decoders["split"] == 0
        if how == "dali":
            assert decoders["gpu"] > 0 and "balance" not in decoders["reasons"]
        else:
            assert decoders["reasons"]["balance"] > 0


@needs_dali
def test_windows_too_large_for_a_slab_are_decoded_whole(tmp_path, monkeypatch):
    """A slab holds the coefficients of 2.8 million pixels in 4:4:4."""
    monkeypatch.setattr(fastload.gpu.decode_iterator.GpuDecodeIterator, "_is_for_decoder", lambda self, images: False)
    folder = tmp_path / "a"
    folder.mkdir()
    picture(0, 300, 200).resize((2000, 1500)).save(folder / "large.jpg", quality=80, subsampling=0)
    picture(1, 300, 200).save(folder / "small.jpg", quality=80, subsampling=0)
    dataset = ImageFolder(tmp_path, v1.Compose([v1.Resize((32, 32)), v1.ToTensor()]))
    ours, loader = epochs(dataset, count=1, num_workers=1, decode=gpu())
    assert_same(ours, epochs(dataset, count=1, num_workers=1)[0])
    decoders = loader.stats()["decoders"]
    assert decoders["split"] == 1 and decoders["reasons"] == {"too large": 1}


@needs_dali
def test_dali_gets_files_of_one_sampling_at_a_time(tmp_path, monkeypatch, to_dali):
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(24):
        image = picture(number, 60 + number, 50)
        if number % 4 == 3:
            image.convert("L").save(folder / f"{number:02}.jpg")
        else:
            image.save(folder / f"{number:02}.jpg", subsampling=number % 4)
    seen = []

    def feed(self, part, feed=dali_pipeline.Pipeline._feed):
        files = [PIL.Image.open(io.BytesIO(data.tobytes())) for data in part.encoded]
        assert [file.size for file in files] == [tuple(size) for size in part.sizes]
        seen.append({tuple(layer[1:3] for layer in file.layer) for file in files})
        feed(self, part)

    monkeypatch.setattr(dali_pipeline.Pipeline, "_feed", feed)
    dataset = ImageFolder(tmp_path, TRAIN)
    ours, loader = epochs(dataset, count=1, num_workers=2, decode=gpu())
    assert_same(ours, epochs(dataset, count=1, num_workers=2)[0])
    decoders = loader.stats()["decoders"]
    assert decoders["gpu"] == 12 and decoders["reasons"] == {"sampling": 12}
    assert all(len(one) == 1 for one in seen)
    assert set().union(*seen) == {((1, 1), (1, 1), (1, 1)), ((2, 2), (1, 1), (1, 1))}


@needs_dali
def test_dali_gets_files_of_several_batches_at_a_time(root, monkeypatch, to_dali):
    made, parts, submitted, all_are_there = [], [], [], threading.Event()
    make, feed, run, submit = (
        dali_pipeline.Pipeline._make,
        dali_pipeline.Pipeline._feed,
        dali_pipeline.Pipeline._run,
        dali_decoder.Decoder.submit,
    )

    def count(self, *given):
        request = submit(self, *given)
        submitted.append(request)
        if len(submitted) == 7:  # an epoch's batches
            all_are_there.set()
        return request

    monkeypatch.setattr(dali_decoder.Decoder, "submit", count)
    monkeypatch.setattr(dali_pipeline.Pipeline, "_run", lambda self: all_are_there.wait(LIMIT) and run(self))
    monkeypatch.setattr(dali_pipeline.Pipeline, "_make", lambda self: made.append(self) or make(self))
    monkeypatch.setattr(
        dali_pipeline.Pipeline, "_feed", lambda self, part: parts.append(len(part.encoded)) or feed(self, part)
    )
    monkeypatch.setattr(dali_pipeline, "MOST_FILES", 9)
    monkeypatch.setattr(dali_decoder, "_PIPELINES", 1)
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, num_workers=2, prefetch_factor=4, decode=gpu())
    assert_same(ours, epochs(dataset, num_workers=2, prefetch_factor=4)[0])
    assert sum(parts) == 2 * loader.stats()["decoders"]["gpu"] and max(parts) == 9  # of batches of six
    pipelines = loader._on_device.decoding.decoder._pipelines
    assert len(pipelines) == 2 and set(made) == {one for some in pipelines.values() for one in some}


@needs_dali
@pytest.mark.parametrize("fails", [False, True])
def test_a_second_pipeline_where_there_are_files_enough(monkeypatch, fails):
    made, make = [], dali_pipeline.Pipeline._make

    def make_one(self):
        made.append(self)
        if fails and len(made) > 1:
            raise RuntimeError("no memory for two")
        return make(self)

    monkeypatch.setattr(dali_pipeline.Pipeline, "_make", make_one)
    monkeypatch.setattr(dali_pipeline, "MOST_FILES", 3)
    encoded = [np.frombuffer(jpeg_bytes(i, 40 + i, 30, progressive=False, subsampling=0), np.uint8) for i in range(9)]
    sizes = np.array([[40 + i, 30] for i in range(9)], np.int32)
    fed, go_on, feed = [], threading.Event(), dali_pipeline.Pipeline._feed
    monkeypatch.setattr(
        dali_pipeline.Pipeline, "_feed", lambda self, part: fed.append(self) or (go_on.wait(LIMIT) and feed(self, part))
    )
    decoder = dali_decoder.Decoder(device_id=None, threads=1, hw_decoder_load=1.0)

    assert not decoder.is_starting and not decoder.is_ready
    decoder.prepare(np.array([11, 11]))
    until(lambda: decoder.is_ready)
    pipelines = decoder._pipelines[11]
    requests = [decoder.submit(encoded[:3], sizes[:3], np.full(3, 11))]
    assert len(pipelines) == 1
    requests.append(decoder.submit(encoded[3:6], sizes[3:6], np.full(3, 11)))
    # Not before it is ready does it get files.
    until(lambda: len(pipelines) == 2 and (pipelines[1].is_ready or pipelines[1].failure is not None))
    requests.append(decoder.submit(encoded[6:], sizes[6:], np.full(3, 11)))
    assert [pipeline.files for pipeline in pipelines] == ([9, 0] if fails else [6, 3])
    go_on.set()
    assert all(request.wait(LIMIT) for request in requests) and decoder.is_ready
    assert [fed.count(pipeline) for pipeline in pipelines] == ([3, 0] if fails else [2, 1]) and len(made) == 2


@needs_dali
def test_a_batch_of_more_files_than_dali_gets_at_a_time(root, monkeypatch, to_dali):
    monkeypatch.setattr(dali_pipeline, "MOST_FILES", 4)
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, num_workers=2, batch_size=19, decode=gpu())
    assert_same(ours, epochs(dataset, num_workers=2, batch_size=19)[0])
    assert loader.stats()["decoders"]["gpu"] > 8


def until_ready(loader):
    """DALI is prepared while the first epoch runs."""
    until(lambda: loader._on_device.decoding.decoder.is_ready, "DALI")


@needs_dali
@pytest.mark.parametrize("slow", ["dali", "threads"])
def test_the_faster_decoder_gets_more(root, monkeypatch, slow):
    if slow == "dali":
        collect = dali_pipeline.Pipeline._collect_one
        monkeypatch.setattr(dali_pipeline.Pipeline, "_collect_one", lambda self: time.sleep(0.05) or collect(self))
    else:
        monkeypatch.setattr("fastload.gpu.decode_resources._SECONDS_A_THREAD", 10.0)
    # The threads' is what it is taken for: on a busy machine it may be any.
    monkeypatch.setattr(fastload.gpu.decode_iterator.GpuDecodeIterator, "_note_pace", lambda self, job: None)
    dataset = ImageFolder(root, TRAIN)
    options = {"num_workers": 4, "prefetch_factor": 4, "batch_size": 2}
    ours, loader = epochs(dataset, count=1, decode=gpu("hybrid"), **options)
    until_ready(loader)
    assert_same([*ours, *loader], epochs(dataset, **options)[0])
    list(loader)  # DALI's pace is known by now
    decoders = loader.stats()["decoders"]  # of this epoch
    if slow == "dali":
        assert decoders["split"] > decoders["gpu"]
    else:
        assert decoders["gpu"] > decoders["split"]


@needs_dali
@pytest.mark.parametrize("how", ["dali", "hybrid"])
def test_threads_do_all_until_dali_is_there(root, monkeypatch, how):
    go_on, make = threading.Event(), dali_pipeline.Pipeline._make
    monkeypatch.setattr(dali_pipeline.Pipeline, "_make", lambda self: go_on.wait(LIMIT) and make(self))
    monkeypatch.setattr("fastload.gpu.decode_resources._SECONDS_A_THREAD", 10.0)
    monkeypatch.setattr(fastload.gpu.decode_iterator.GpuDecodeIterator, "_note_pace", lambda self, job: None)
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, count=1, decode=gpu(how), num_workers=2)
    assert loader.stats()["decoders"]["gpu"] == 0 and loader._on_device.decoding.decoder.is_starting
    go_on.set()
    until_ready(loader)
    assert_same([*ours, *loader], epochs(dataset, num_workers=2)[0])
    assert loader.stats()["decoders"]["gpu"] > 0


@needs_dali
def test_dali_that_cannot_start_is_an_error(root, monkeypatch):
    def fail(self):
        raise RuntimeError("no memory")

    monkeypatch.setattr(dali_pipeline.Pipeline, "_make", fail)
    with pytest.raises(RuntimeError, match="NVIDIA DALI does not work here: no memory"):
        epochs(ImageFolder(root, TRAIN), count=1000, num_workers=2, decode=gpu())


@needs_dali
def test_decoded_images_that_wait_are_bounded(root, monkeypatch, to_dali):
    monkeypatch.setattr("fastload.gpu.decode_pipeline._MOST_PIXELS", 1)
    seen, hand_over = [], fastload.gpu.decode_pipeline.DecodePipeline._hand_over

    def watch(self, job, run):
        hand_over(self, job, run)
        seen.append(self._pixels - (job.left.pixels if job.left else 0))

    monkeypatch.setattr(fastload.gpu.decode_pipeline.DecodePipeline, "_hand_over", watch)
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, num_workers=4, decode=gpu())
    assert_same(ours, epochs(dataset, num_workers=4)[0])
    assert len(seen) == len(ours) and not any(seen)
    assert loader._on_device.decoding.pipeline._pixels == 0


@needs_dali
@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_while_pixels_are_made_reaches_the_consumer(root, monkeypatch, workers):
    def fail(self, batch, pixels):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(fastload.gpu.window_kernels.WindowKernels, "make", fail)
    with pytest.raises(RuntimeError, match="no such kernel"):
        epochs(ImageFolder(root, TRAIN), num_workers=workers, decode=gpu("hybrid"))


@needs_dali
def test_a_program_ends_while_batches_are_under_way(root):
    """None of what was asked for ahead is made first. Our threads end before DALI shuts itself down."""
    script = """
        import sys, threading, time, torchvision.transforms as T
        from torchvision.datasets import ImageFolder
        import fastload
        from fastload import GpuDecode
        from fastload.gpu import dali_pipeline
        from fastload.gpu import decode_iterator
        collect = dali_pipeline.Pipeline._collect_one
        collected = []
        dali_pipeline.Pipeline._collect_one = lambda self: time.sleep(0.5) or collected.append(self) or collect(self)
        decode_iterator.GpuDecodeIterator._is_for_decoder = lambda self, images: True
        dataset = ImageFolder(sys.argv[1], T.Compose([T.RandomResizedCrop(32), T.ToTensor()]))
        loader = fastload.DataLoader(
            dataset, 1, num_workers=8, prefetch_factor=32, device="cpu", decode=GpuDecode("dali", backend="cpu"),
            sampler=list(range(len(dataset))) * 20,
        )
        dali_pipeline.MOST_FILES = 1
        iterator = iter(loader)
        next(iterator)
        from nvidia.dali import Pipeline
        class Pipes(set):
            def __iter__(self):
                print(len(collected) < 100, [thread.name for thread in threading.enumerate() if thread.name.startswith("fastload")])
                return super().__iter__()
        Pipeline._pipes = Pipes(Pipeline._pipes)
        print("end")
    """
    done = run_script(script, root, warnings=[("ignore", "Warning")])
    assert (done.stdout, done.returncode) == ("end\nTrue []\n", 0), done.stderr
    assert "ignored" not in done.stderr


@needs_dali
def test_a_decoder_that_never_answers_is_a_timeout(root, monkeypatch, to_dali):
    go_on, collect = threading.Event(), dali_pipeline.Pipeline._collect_one
    monkeypatch.setattr(dali_pipeline.Pipeline, "_collect_one", lambda self: go_on.wait(LIMIT) and collect(self))
    with pytest.raises(RuntimeError, match=r"timed out after 0\.3 seconds"):
        epochs(ImageFolder(root, TRAIN), num_workers=2, decode=gpu(), timeout=0.3)
    go_on.set()


@needs_dali
def test_a_pipeline_that_could_not_be_made_is_made_again(monkeypatch):
    encoded = [np.frombuffer(jpeg_bytes(1, 40, 30, progressive=False, subsampling=0), np.uint8)]
    make, failures = dali_pipeline.Pipeline._make, [RuntimeError("no memory")]

    def make_at_last(self):
        if failures:
            raise failures.pop()
        return make(self)

    monkeypatch.setattr(dali_pipeline.Pipeline, "_make", make_at_last)
    decoder = dali_decoder.Decoder(device_id=None, threads=1, hw_decoder_load=1.0)
    given = encoded, np.array([[40, 30]], np.int32), np.array([11])
    with pytest.raises(RuntimeError, match="NVIDIA DALI does not work here: no memory"):
        decoder.submit(*given).wait(LIMIT)
    again = decoder.submit(*given)
    assert again.wait(LIMIT) and again.parts[0][0].error is None


@needs_dali
@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_that_cannot_be_handed_over_leaves_its_room(root, monkeypatch, to_dali, workers):
    """It fails, as where there is no memory to be pinned; the next epoch has all batches."""
    submit, failures = dali_decoder.Decoder.submit, [MemoryError("pinned")]

    def submit_at_last(self, *given):
        if failures:
            raise failures.pop()
        return submit(self, *given)

    monkeypatch.setattr(dali_decoder.Decoder, "submit", submit_at_last)
    monkeypatch.setattr(fastload.gpu.decode_pipeline, "_MOST_PIXELS", 1)  # one batch at a time
    dataset = ImageFolder(root, TRAIN)
    loader = fastload.DataLoader(dataset, 6, shuffle=True, num_workers=workers, device="cpu", decode=gpu())
    with pytest.raises(MemoryError, match="pinned"):
        next(iter(loader))
    torch.manual_seed(3)
    assert_same([*loader], epochs(dataset, count=1, num_workers=workers)[0])


@needs_dali
def test_a_request_that_nobody_holds_is_not_decoded(monkeypatch):
    encoded = [np.frombuffer(jpeg_bytes(i, 40 + i, 30, progressive=False, subsampling=0), np.uint8) for i in range(9)]
    sizes = np.array([[40 + i, 30] for i in range(9)], np.int32)
    fed, first_is_fed, go_on = [], threading.Event(), threading.Event()

    def feed(self, part, feed=dali_pipeline.Pipeline._feed):
        fed.append(part.sizes)
        first_is_fed.set()
        assert go_on.wait(LIMIT)
        feed(self, part)

    monkeypatch.setattr(dali_pipeline.Pipeline, "_feed", feed)
    decoder = dali_decoder.Decoder(device_id=None, threads=1, hw_decoder_load=1.0)
    first = decoder.submit(encoded[:3], sizes[:3], np.full(3, 11))
    assert first_is_fed.wait(LIMIT)
    dropped = decoder.submit(encoded[3:6], sizes[3:6], np.full(3, 11))
    kept = decoder.submit(encoded[6:], sizes[6:], np.full(3, 11))
    assert decoder.files == 9
    del dropped
    go_on.set()
    assert first.wait(LIMIT) and kept.wait(LIMIT) and decoder.files == 0
    assert fed == [[(40, 30), (41, 30), (42, 30)], [(46, 30), (47, 30), (48, 30)]]
    ((part, which, positions),) = kept.parts
    assert part.error is None and which.tolist() == positions.tolist() == [0, 1, 2]
    for image, data in zip(part.tensors(which), encoded[6:], strict=True):
        assert np.array_equal(image.numpy(), np.array(PIL.Image.open(io.BytesIO(data.tobytes()))))


@needs_dali
def test_threads_end_with_their_loader(root):
    def use():
        loader = fastload.DataLoader(ImageFolder(root, TRAIN), 6, num_workers=2, device="cpu", decode=gpu("hybrid"))
        next(iter(loader))
        return list(loader)

    use()  # DALI's own
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/task"))
        for _ in range(3):
            use()
        until(lambda: len(os.listdir("/proc/self/task")) <= before, f"no more than {before} threads")
    finally:
        gc.enable()


@needs_dali
def test_a_pipeline_that_cannot_be_made_is_an_error(root, monkeypatch, to_dali):
    def fail(self):
        raise RuntimeError("no such GPU")

    monkeypatch.setattr(dali_pipeline.Pipeline, "_make", fail)
    with pytest.raises(RuntimeError, match="NVIDIA DALI does not work here: no such GPU"):
        epochs(ImageFolder(root, TRAIN), num_workers=2, decode=gpu())


@needs_dali
@pytest.mark.parametrize("rng", ["stock", "index"])
def test_break_iterate_again_and_two_iterators(root, rng):
    def run(decode):
        torch.manual_seed(0)
        dataset = ImageFolder(root, TRAIN)
        loader = fastload.DataLoader(dataset, 4, True, num_workers=2, device="cpu", decode=decode, rng=rng)
        seen = [next(iter(loader)) for _ in range(3)]
        first, second = iter(loader), iter(loader)
        seen += [next(first), next(second), next(second), next(first)]
        seen += list(loader)
        assert len(loader) == 10
        kept = fastload.DataLoader(
            dataset, 4, num_workers=2, persistent_workers=True, device="cpu", decode=decode, drop_last=True
        )
        seen += [next(iter(kept)), *kept, *kept]
        return seen

    assert_same(run(gpu()), run("cpu"))


@needs_dali
@pytest.mark.parametrize("policy", ["raise", "skip", "replace"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_fails_alone(root, tmp_path, policy, workers):
    dataset = ImageFolder(root, TRAIN)
    for number, at in enumerate((4, 17)):
        broken = tmp_path / f"{number}.jpg"
        broken.write_bytes(jpeg_bytes(3, form=0)[:700] if number else b"no image")
        dataset.samples[at] = (str(broken), 1)

    def run(decode):
        torch.manual_seed(0)
        loader = fastload.DataLoader(dataset, 6, on_error=policy, num_workers=workers, device="cpu", decode=decode)
        iterator, batches, errors = iter(loader), [], []
        while True:
            try:
                batches.append(next(iterator))
            except fastload.FastloadError as error:
                errors.append((error.index, error.path, error.reason))
            except StopIteration:
                return batches, errors, loader.errors

    ours, theirs = run(gpu()), run("cpu")
    assert_same(ours[0], theirs[0])
    assert ours[1:] == theirs[1:] and len(ours[2]) == 2 and bool(ours[1]) == (policy == "raise")


class Refusing(dali_decoder.Decoder):
    """DALI, but for files of one size, which it is made to refuse as it refuses broken ones."""

    refused_size = 0

    def submit(self, encoded, *given):
        broken = np.frombuffer(b"\xff\xd8\xff\xe0broken", np.uint8)
        return super().submit([broken if len(data) == self.refused_size else data for data in encoded], *given)


@needs_dali
def test_what_dali_refuses_is_decoded_by_the_cpu_and_reported(root, monkeypatch, to_dali):
    dataset = ImageFolder(root, TRAIN)
    monkeypatch.setattr(decode_resources, "Decoder", Refusing)
    index = next(i for i, (path, _) in enumerate(dataset.samples) if path.endswith("class0/002.jpg"))
    path = dataset.samples[index][0]
    monkeypatch.setattr(Refusing, "refused_size", Path(path).stat().st_size)
    ours, loader = epochs(dataset, num_workers=2, decode=gpu())
    assert_same(ours, epochs(dataset, num_workers=2)[0])
    assert loader.errors == []
    decoders = loader.stats()["decoders"]
    assert 1 <= decoders["reasons"]["refused"] <= len(dataset) // 2  # its part of one sampling
    assert set(loader._on_device.decoding.pipeline.refused) == {index}
    torch.manual_seed(3)
    fresh = fastload.DataLoader(dataset, 6, shuffle=True, device="cpu", decode=gpu(), num_workers=2)
    list(fresh)
    ((refused, refused_path, reason),) = fresh.stats()["decoders"]["refused"]
    assert (refused, refused_path) == (index, path) and reason


@needs_dali
def test_every_file_refused(root, monkeypatch, to_dali):
    class RefusesAll(dali_decoder.Decoder):
        def submit(self, encoded, *given):
            return super().submit([np.frombuffer(b"\xff\xd8\xff\xe0broken", np.uint8)] * len(encoded), *given)

    monkeypatch.setattr(decode_resources, "Decoder", RefusesAll)
    dataset = ImageFolder(root, EVALUATE)
    ours, loader = epochs(dataset, count=1, num_workers=2, decode=gpu())
    assert_same(ours, epochs(dataset, count=1, num_workers=2)[0])
    assert loader.stats()["decoders"]["gpu"] == 0


@needs_dali
def test_a_last_batch_and_batches_of_many_sizes(root):
    dataset = ImageFolder(root, TRAIN)
    batches = [[0], [1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 11], [3] * 5]
    ours, _ = epochs(dataset, batch_size=1, shuffle=None, batch_sampler=batches, num_workers=1, decode=gpu())
    theirs, _ = epochs(dataset, batch_size=1, shuffle=None, batch_sampler=batches, num_workers=1)
    assert_same(ours, theirs)


@needs_dali
def test_auto_measures_once_and_says_what_it_found(root, monkeypatch):
    monkeypatch.setattr("fastload.gpu.decode_measurement._TIMED_SECONDS", 0.05)
    monkeypatch.setattr("fastload.gpu.decode_measurement._WARM_SECONDS", 0.05)
    dataset = ImageFolder(root, TRAIN)
    torch.manual_seed(3)
    loader = fastload.DataLoader(dataset, 6, shuffle=True, num_workers=2, device="cpu", decode=gpu("auto", threads=1))
    assert "to be chosen by a short measurement" in loader.explain()
    made, decoder = [], dali_decoder.Decoder

    def make(*given):
        made.append(decoder(*given))
        return made[-1]

    monkeypatch.setattr(decode_resources, "Decoder", make)
    ours = [*loader, *loader]
    assert_same(ours, epochs(dataset, num_workers=2)[0])
    assert len(made) == 1 and (loader._on_device.decoding is None or loader._on_device.decoding.decoder is made[0])
    (line,) = (line for line in loader.explain().splitlines() if line.startswith("  decode: "))
    assert all(how in line for how in ("cpu", "gpu", "hybrid", "images/s"))
    assert pickle.loads(pickle.dumps(loader))._on_device.rates is None


@needs_dali
@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (v1.Compose([v1.Resize((20, 20)), v1.Grayscale(3), v1.ToTensor()]), "Grayscale is not done on the GPU"),
        (v1.Compose([v1.Resize(40), v1.RandomResizedCrop(20), v1.ToTensor()]), "there is more than one resize"),
        (v1.Compose([v1.RandomResizedCrop(20), v1.ToTensor(), torch.neg]), "batches do not come from native threads"),
    ],
)
def test_what_the_gpu_cannot_do_is_said_and_done_by_the_cpu(root, transform, reason):
    dataset = ImageFolder(root, transform)
    ours, loader = epochs(dataset, count=1, decode=gpu())
    assert_same(ours, epochs(dataset, count=1)[0])
    assert f"decode: on the CPU, because {reason}" in loader.explain()


@needs_dali
def test_flips_before_the_resize_are_left_to_the_cpu(root, to_dali):
    dataset = ImageFolder(root, v1.Compose([v1.RandomHorizontalFlip(), v1.RandomResizedCrop(20), v1.ToTensor()]))
    ours, loader = epochs(dataset, count=1, decode=gpu())
    assert_same(ours, epochs(dataset, count=1)[0])
    assert loader.stats()["decoders"]["reasons"]["transforms"] > 0 and loader.stats()["decoders"]["gpu"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decode": "gpu"}, "decode='gpu': it needs a CUDA device.*decode='auto' would use the CPU"),
        ({"decode": "hybrid", "device": "cpu"}, "decode='hybrid': it needs a CUDA device"),
        ({"decode": "fast"}, "decode should be"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        fastload.DataLoader([1], **options)


@pytest.mark.parametrize(
    "options", [{"how": "cpu"}, {"hw_decoder_load": 2}, {"threads": 0}, {"backend": "tpu"}], ids=str
)
def test_wrong_settings(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        GpuDecode(**options)


def test_without_dali_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install .fastload-torch\[dali\]"):
        fastload.DataLoader([1], device="cpu", decode=gpu())


def test_auto_without_a_gpu_is_the_cpu(root):
    dataset = ImageFolder(root, TRAIN)
    ours, loader = epochs(dataset, count=1, decode="auto")
    assert_same(ours, epochs(dataset, count=1)[0])
    assert "decode: on the CPU, because it needs a CUDA device" in loader.explain()


def test_dali_and_triton_are_not_imported_before_they_are_used():
    code = "import sys, fastload; fastload.DataLoader; print([m for m in sys.modules if 'dali' in m or 'kernels' in m])"
    done = run_script(code)
    assert done.returncode == 0, done.stderr
    assert "nvidia" not in done.stdout
    assert "fastload.gpu.dali_decoder" in done.stdout and "fastload.gpu.triton_kernels" not in done.stdout


@needs_dali
@pytest.mark.parametrize("how", ["cpu", "dali", "hybrid"])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_resumed_with_any_decoder(root, how, workers):
    def make():
        decode = how if how == "cpu" else gpu(how)
        return fastload.StatefulDataLoader(
            ImageFolder(root, TRAIN), 4, shuffle=True, num_workers=workers, device="cpu", decode=decode
        )

    torch.manual_seed(0)
    first = make()
    iterator = iter(first)
    for _ in range(3):
        next(iterator)
    state = first.state_dict()
    rest = list(iterator)
    second = make()
    second.load_state_dict(state)
    assert_same(list(second), rest)


@needs_dali
def test_transforms_that_are_changed_without_workers_count_at_once(root):
    def run(decode):
        torch.manual_seed(0)
        dataset = ImageFolder(root, TRAIN)
        loader = fastload.DataLoader(dataset, 8, device="cpu", decode=decode)
        iterator = iter(loader)
        seen = [next(iterator)]
        for transform in (
            EVALUATE,
            v1.Compose([v1.Grayscale(), v1.Resize((9, 9)), v1.ToTensor()]),
            v1.Compose([TRAIN, torch.neg]),
        ):
            dataset.transform = transform
            seen.append(next(iterator))
        return seen

    assert_same(run(gpu()), run("cpu"))
    assert [tuple(images.shape[1:]) for images, _ in run(gpu())] == [(3, 32, 32), (3, 32, 32), (1, 9, 9), (3, 32, 32)]


@needs_dali
@pytest.mark.parametrize("policy", ["skip", "replace"])
def test_a_batch_without_any_readable_sample(root, tmp_path, policy):
    dataset = ImageFolder(root, TRAIN)
    for at in range(4):
        broken = tmp_path / f"{at}.jpg"
        broken.write_bytes(b"no image")
        dataset.samples[at] = (str(broken), 1)

    def run(decode):
        torch.manual_seed(0)
        return list(
            fastload.DataLoader(dataset, 4, num_workers=1, on_error=policy, device="cpu", decode=decode, rng="index")
        )

    assert_same(run(gpu()), run("cpu"))
