"""The samples of a batch are looked up all at once: the same ones, the same errors, and few calls in Python for each."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as T
from torch.utils.data import ConcatDataset, Subset

import fastload
import fastload.reports.job_file
from fastload.engine import BatchSamples, Encoded, file_dataset_of
from fastload.engine.file_dataset import Find
from images import jpeg_bytes, write_folder

STEPS = T.Compose([T.RandomResizedCrop(8), T.ToTensor()])
PACKAGE = os.path.dirname(fastload.__file__)
FEW, MANY = 8, 40


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=4, images=4, largest=48)


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "set.tar"
    with tarfile.open(path, "w") as tar:
        for i in range(16):
            for name, data in ((f"s{i}.jpg", jpeg_bytes(i, 20, 16)), (f"s{i}.cls", str(i % 4).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def plain(root):
    return torchvision.datasets.ImageFolder(root, STEPS)


def ours(root):
    return fastload.ImageFolder(root, STEPS)


def nested(root):
    part = Subset(ours(root), [3, 1, -2, 3])
    return ConcatDataset([Subset(part, np.array([3, 0])), ConcatDataset([ours(root), part]), part])


def one_more(target):
    return target + 1


# By name: the data set, and calls of this package's code for a sample beyond those for a batch; of the user's own, none.
COSTS = {
    "torchvision's folder": (lambda root, shard: plain(root), 0),
    "folder": (lambda root, shard: ours(root), 0),
    "subset": (lambda root, shard: Subset(ours(root), list(range(16))), 0),
    "folder with targets changed": (lambda root, shard: fastload.ImageFolder(root, STEPS, one_more), 0),
    "two folders": (lambda root, shard: ConcatDataset([ours(root), ours(root)]), 8),
    "shards": (lambda root, shard: fastload.WebDataset(str(shard), STEPS), 10),
}


def calls_for(dataset, batch_size, monkeypatch):
    """Of functions of this package, Python's and C's, for one batch in the middle of an epoch."""
    monkeypatch.setattr(fastload.reports.job_file.JobFile, "tick", lambda self, now: None)  # by the clock
    indices = [i % len(dataset) for i in range(8 * batch_size)]
    loader = fastload.DataLoader(dataset, batch_size, sampler=indices, num_workers=1)
    assert loader.explain().startswith("native: images are read, decoded and transformed in 1 thread")
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    calls: Counter[str] = Counter()

    def note(frame, event, arg):
        code = frame.f_code
        if event in ("call", "c_call") and code.co_filename.startswith(PACKAGE):
            calls[f"{event} {code.co_qualname if event == 'call' else arg}"] += 1

    sys.setprofile(note)
    try:
        next(iterator)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("kind", COSTS)
def test_samples_cost_few_calls(kind, root, shard, monkeypatch):
    make, most = COSTS[kind]
    few, many = (calls_for(make(root, shard), size, monkeypatch) for size in (FEW, MANY))
    assert few
    assert (many - few).total() - (few - many).total() <= most * (MANY - FEW) + 4, (many - few).most_common(12)


def batches_of(Loader, dataset, batches, workers=0):
    torch.manual_seed(4)
    loader = Loader(dataset, batch_sampler=batches, num_workers=workers)
    return list(loader), torch.get_rng_state()


FORMS = {
    "integers": [[3, 3, 0], [15, 1]],
    "a tensor": torch.tensor([[3, 3], [0, 15]]),
    "an array": np.array([[3, 3], [0, 15]], np.uint8),
    "tensors": [[torch.tensor(3), torch.tensor(0)]],
    "some from the end": [[3, -1, 0], [-16]],
    "a tuple": [(3, 2)],
}


@pytest.mark.parametrize("make", [plain, ours, nested], ids=["torchvision", "ours", "nested"])
@pytest.mark.parametrize("form", FORMS)
def test_indices_of_every_form(form, make, root):
    expected, state = batches_of(torch.utils.data.DataLoader, make(root), FORMS[form])
    made, state_too = batches_of(fastload.DataLoader, make(root), FORMS[form])
    assert torch.equal(state, state_too) and len(made) == len(expected)
    for (images, targets), (images_too, targets_too) in zip(made, expected, strict=True):
        assert torch.equal(images, images_too) and torch.equal(targets, targets_too)


def refuses_two(target):
    return 6 // (target - 2)


BAD = {
    "behind the end": (99, "IndexError", ours),
    "behind the end of torchvision's": (99, "IndexError", plain),
    "before the start": (-99, "ValueError", nested),
    "text": ("three", "TypeError", ours),
    "a fraction": (2.5, "TypeError", plain),
    "above 64 bits": (2**70, "Error", ours),
    "of a target that cannot be": (9, "ZeroDivisionError", lambda root: fastload.ImageFolder(root, STEPS, refuses_two)),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("what", BAD)
def test_one_bad_index_is_one_bad_sample(what, workers, root):
    bad, of, make = BAD[what]
    dataset = make(root)
    loader = fastload.DataLoader(dataset, batch_sampler=[[0, bad, 13, 0]], num_workers=workers, on_error="skip")
    ((images, targets),) = loader
    good = [dataset[i][1] for i in (0, 13, 0)]
    assert loader.explain().startswith("native: images are read, decoded and transformed in ")
    assert len(images) == 3 and targets.tolist() == good
    (error,) = loader.errors
    assert error.index == (bad if type(bad) is int else -1) and of in error.reason


def test_paths_that_are_no_plain_text(root, tmp_path):
    """Among others in one batch."""
    files = sorted(Path(root).glob("*/*"))[:4]
    odd = tmp_path / "mañana.jpg"
    odd.write_bytes(files[0].read_bytes())
    samples = [(str(odd), 5), (os.fsencode(files[1]), 6), (files[2], 7), (str(files[3]), 8), (f"{files[3]}\0", 9)]
    datasets = [torchvision.datasets.ImageFolder(root, STEPS), fastload.ImageFolder(root, STEPS)]
    for dataset in datasets:
        dataset.samples = samples
    expected, _ = batches_of(torch.utils.data.DataLoader, datasets[0], [[0, 1, 2, 3], [0]])
    for dataset in datasets:
        made, _ = batches_of(fastload.DataLoader, dataset, [[0, 1, 2, 3], [0]])
        assert all(torch.equal(a, b) for x, y in zip(made, expected, strict=True) for a, b in zip(x, y, strict=True))
        loader = fastload.DataLoader(dataset, batch_sampler=[[0, 4, 3]], on_error="skip")
        assert [targets.tolist() for _, targets in loader] == [[5, 8]] and loader.errors[0].index == 4


def test_a_table_with_what_names_no_file(root):
    path = str(next(Path(root).glob("*/*")))
    dataset = fastload.ImageFiles([path, "no\0file", path], [4, 5, 6], STEPS)
    loader = fastload.DataLoader(dataset, 3, on_error="skip")
    assert [targets.tolist() for _, targets in loader] == [[4, 6]] and loader.errors[0].index == 1
    assert BatchSamples(Find(file_dataset_of(dataset)), [2, 1], 3).given == [path, "no\0file"]


def test_what_the_engine_is_told_of(root):
    samples = BatchSamples(Find(file_dataset_of(ours(root))), iter(np.array([2, 2, 7])), 16)
    paths = [ours(root).samples[i][0] for i in (2, 2, 7)]
    assert samples.indices == samples.numbers == [2, 2, 7] and samples.given == samples.sources == paths
    bad = BatchSamples(Find(file_dataset_of(ours(root))), [1, -99, -1], 16)
    assert bad.indices == [1, -99, 15] and bad.numbers == [1, 2**64 - 99, 15]
    assert bad.sources[1] == b"" and bad.path(1) is None and bad.path(2) == ours(root).samples[15][0]


def test_names_of_samples_in_shards(shard):
    source, target = fastload.WebDataset(str(shard)).samples[3]
    assert target == 3 and source.name.startswith(f"{shard}, sample s3.jpg at byte ") and source.name in repr(source)
    sent = pickle.loads(pickle.dumps(source))
    assert sent == source and sent.name == source.name and Encoded(b"", "mine").name == "mine"


def test_targets_are_changed_once_where_all_is_well(root):
    asked = []
    dataset = ours(root)
    samples = BatchSamples(
        Find(file_dataset_of(dataset)), [0, 9, 0], 16, None, {id(dataset): lambda t: asked.append(t) or -t}
    )
    assert asked == [0, 2, 0] and samples.targets == [0, -2, 0]
