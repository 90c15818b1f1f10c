"""fastload.WebDataset: the batches of a folder of the same bytes, in any order, on any rank, resumed; which shards are meant."""

from __future__ import annotations

import json
import os
import pickle
import tarfile
from pathlib import Path

import pytest
import torch
import torchvision.datasets
import torchvision.transforms as T
from torch.utils.data import DataLoader as StockLoader
from torch.utils.data import DistributedSampler, Subset

import fastload
from fastload import DataLoader, FastloadWarning, StatefulDataLoader, WebDataset
from fastload.datasets import kind_of_source, open_source
from fastload.shards import Record, shard_list, write_tar
from fastload.shards.shard_paths import expand_braces
from images import write_folder

TRANSFORM = T.Compose([T.RandomResizedCrop(16), T.RandomHorizontalFlip(), T.ToTensor()])
IN_PYTHON = T.Compose([T.RandomResizedCrop(16), T.ToTensor(), T.Lambda(torch.neg)])
SHARDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=7, largest=60)


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    """Four tars of the same bytes."""
    root = tmp_path_factory.mktemp("shards")
    plain = torchvision.datasets.ImageFolder(folder)
    records = [
        Record(os.path.relpath(path, folder), Path(path).read_bytes(), target, plain.classes[target])
        for path, target in plain.samples
    ]
    size = -(-len(records) // SHARDS)
    for number in range(SHARDS):
        write_tar(root / f"t-{number:06d}.tar", records[number * size : (number + 1) * size], plain.classes)
    return root


def all_batches(kind, dataset, seed=5, **options):
    torch.manual_seed(seed)
    return list(kind(dataset, batch_size=4, **options))


def same(batches, others):
    return len(batches) == len(others) and all(
        torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
        for mine, theirs in zip(batches, others, strict=True)
    )


@pytest.mark.parametrize("transform", [TRANSFORM, IN_PYTHON], ids=["threads", "python"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_those_of_the_folder(folder, shards, transform, num_workers):
    plain = torchvision.datasets.ImageFolder(folder, transform)
    ours = WebDataset(shards, transform)
    assert (ours.classes, ours.class_to_idx, ours.targets) == (plain.classes, plain.class_to_idx, plain.targets)
    expected = all_batches(StockLoader, plain, shuffle=True, num_workers=num_workers)
    assert same(all_batches(DataLoader, ours, shuffle=True, num_workers=num_workers), expected)
    assert same(all_batches(StockLoader, ours, shuffle=True, num_workers=num_workers), expected)
    again = pickle.loads(pickle.dumps(Subset(ours, range(len(ours)))))
    assert same(all_batches(DataLoader, again, shuffle=True, num_workers=num_workers), expected)
    if transform is TRANSFORM:
        fastload.require_native(DataLoader(again))


def test_ranks_have_equal_steps_and_the_folders_batches(folder, shards):
    plain, ours = torchvision.datasets.ImageFolder(folder, TRANSFORM), WebDataset(shards, TRANSFORM)
    steps = set()
    for rank in range(4):
        mine, theirs = (DistributedSampler(data, 4, rank, seed=3) for data in (ours, plain))
        for epoch in range(2):
            mine.set_epoch(epoch)
            theirs.set_epoch(epoch)
            batches = all_batches(DataLoader, ours, sampler=mine)
            assert same(batches, all_batches(StockLoader, plain, sampler=theirs))
            steps.add(len(batches))
    assert len(steps) == 1


@pytest.mark.parametrize("seen", [0, 2, 5])
def test_an_epoch_is_resumed_where_it_stopped(shards, seen):
    def loader():
        torch.manual_seed(1)
        return StatefulDataLoader(WebDataset(shards, TRANSFORM), batch_size=4, shuffle=True)

    whole = list(loader())
    first = loader()
    iterator = iter(first)
    for _ in range(seen):
        next(iterator)
    state = pickle.loads(pickle.dumps(first.state_dict()))
    second = loader()
    second.load_state_dict(state)
    assert same(list(second), whole[seen:])


def test_an_epoch_goes_on_with_another_number_of_ranks(shards):
    dataset = WebDataset(shards, T.Compose([T.Resize((8, 8)), T.ToTensor()]), target="json:filename")
    states, seen = [None, None], []
    for ranks, batches in ((2, 2), (3, None)):
        state, states = states[0], []
        for rank in range(ranks):
            sampler = DistributedSampler(dataset, ranks, rank, seed=8)
            loader = StatefulDataLoader(dataset, 3, sampler=sampler, rng="index")
            if state is not None:
                loader.load_state_dict(state)
            iterator = iter(loader)
            taken = [next(iterator) for _ in range(batches)] if batches else list(iterator)
            seen += [name for _, names in taken for name in names]
            states.append(loader.state_dict())
    assert sorted(seen) == sorted(dataset.targets)


def test_names_and_errors(shards, tmp_path):
    ours = WebDataset(shards)
    assert [ours.samples.name(i) for i in (0, 6, 20)] == ["class0/000.jpg", "class0/006.jpg", "class2/006.jpg"]
    left = WebDataset(shards, exclude=["class0/000.jpg"])
    assert (len(left), left.samples.name(0)) == (20, "class0/001.jpg")
    path = tmp_path / "bad.tar"
    write_tar(path, [Record("x/1.jpg", b"no image", 0), Record("x/2.jpg", b"", 0)], None)
    with pytest.raises(fastload.FastloadError, match=r"sample 0 .*bad\.tar, sample x/1\.jpg at byte \d+"):
        list(DataLoader(WebDataset(path, TRANSFORM)))
    with pytest.raises(ValueError, match="target='jpg': 'jpg' is none of"):
        WebDataset(path, target="jpg")
    with pytest.raises(ValueError, match="on_damage is one of raise, warn"):
        WebDataset(path, on_damage="skip")
    with pytest.raises(
        ValueError, match=r"no sample with an image \(png\).*2 samples have no image \(the first: 'x/1'\)"
    ):
        WebDataset(path, image="png")


def test_what_is_left_out_is_told(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("1.jpg", "1.cls", "2.jpg", "3.cls"):
            (tmp_path / name).write_bytes(b"1")
            tar.add(tmp_path / name, name)
    expected = r"1 samples have no image \(the first: '3'\); 1 samples have no target \(the first: '2'\)"
    for _ in range(2):  # scanned, and from the index
        with pytest.warns(FastloadWarning, match=expected):
            assert len(WebDataset(tmp_path / "a.tar")) == 1
    os.truncate(tmp_path / "a.tar", 2560)
    with pytest.raises(ValueError, match="truncated at byte 2048"):
        WebDataset(tmp_path / "a.tar")
    with pytest.warns(FastloadWarning, match="truncated at byte 2048.*; 1 samples before it are used"):
        assert len(WebDataset(tmp_path / "a.tar", on_damage="warn")) == 1


def test_targets_of_other_kinds(shards):
    ours = WebDataset(shards, TRANSFORM, target="json:class_name")
    assert ours.targets[:8] == ["class0"] * 7 + ["class1"]
    images, names = next(iter(DataLoader(ours, batch_size=2)))
    assert list(names) == ["class0", "class0"]
    whole = WebDataset(shards, TRANSFORM, target="json", target_transform=lambda note: note["label"] + 1)
    assert next(iter(DataLoader(whole, batch_size=2)))[1].tolist() == [1, 1]
    alone = WebDataset(shards, TRANSFORM, target=None)
    assert next(iter(DataLoader(alone, batch_size=2))).shape == (2, 3, 16, 16)


def test_shards_are_meant_in_many_ways(shards, tmp_path):
    paths = sorted(str(path) for path in shards.glob("*.tar"))
    wids = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "shardlist": [{"url": os.path.relpath(path, tmp_path), "nsamples": 6} for path in paths[:2]],
        "datasets": [{"base": str(shards), "shardlist": [{"url": os.path.basename(path)} for path in paths[2:]]}],
    }
    (tmp_path / "wids.json").write_text(json.dumps(wids))
    for source in (
        shards,
        str(shards),
        paths,
        tuple(map(Path, paths)),
        f"{shards}/t-{{000000..000003}}.tar",
        f"{shards}/t-*.tar",
        "::".join(paths),
        f"{shards}/t-00000{{0,1}}.tar::{shards}/t-00000[23].tar",
        [f"{shards}/t-00000{{0..1}}.tar", paths[2], paths[3]],
        tmp_path / "wids.json",
    ):
        assert [os.path.realpath(path) for path in shard_list(source)] == paths, source
    odd = tmp_path / "odd {a,b}::*.tar"
    odd.write_bytes(Path(paths[0]).read_bytes())
    assert len(WebDataset(str(odd))) == 6


@pytest.mark.parametrize("source", ["nowhere.tar", "no*.tar", "{a,b}.tar", [], "empty"])
def test_no_shards_is_an_error(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        WebDataset(source)


@pytest.mark.parametrize("text", ["[", "{}", '{"__kind__": "wids-shard-index-v1", "shardlist": [{}]}', "[" * 100_000])
def test_a_list_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "wids.json").write_text(text)
    with pytest.raises(ValueError, match=r"wids\.json"):
        shard_list(tmp_path / "wids.json")


def test_lists_that_name_themselves_end(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"__kind__": "wids-shard-index-v1", "datasets": [{"source_url": "a.json"}]}))
    with pytest.raises(ValueError, match=r"a\.json"):
        shard_list(path)
    with pytest.raises(ValueError, match=r"WebDataset\.stream"):
        os.mkfifo(tmp_path / "pipe.tar")
        WebDataset(tmp_path / "pipe.tar")


def test_braces_mean_what_they_mean_in_webdataset():
    braceexpand = pytest.importorskip("braceexpand").braceexpand
    patterns = [
        "a",
        "{a,b}c",
        "{1..3}",
        "{003..1}",
        "{-2..02}",
        "{a..e..2}",
        "{B..c}",
        "{5..1..3}",
        "{1..4..0}",
        "{a}",
        "{}",
    ]
    patterns += [
        "x{a,{b,c}d{1..2}}y",
        "{a,}",
        "{,}",
        "a{b{c,d}}",
        r"\{a,b\}",
        r"{a\,b,c}",
        "{0..0}",
        "{10..8}{a,b}",
        "{01..0a}",
    ]
    patterns += ["train-{000000..000012}.tar", "{1..2}{", "a}", "{{a,b}", "{a,b}}"]
    for pattern in patterns:
        try:
            expected = list(braceexpand(pattern))
        except ValueError:
            with pytest.raises(ValueError):
                list(expand_braces(pattern))
        else:
            assert list(expand_braces(pattern)) == expected, pattern
    for hostile in ("{1..99999999999999}", "{1..100000}" * 3, "{a,b}" * 60):
        with pytest.raises(ValueError, match="more than"):
            list(expand_braces(hostile))


def test_sources_are_told_by_looking_at_them(folder, shards, tmp_path):
    assert [kind_of_source(source).name for source in (folder, shards, shards / "t-000000.tar")] == [
        "folder",
        "tar",
        "tar",
    ]
    renamed = tmp_path / "no ending"
    renamed.write_bytes((shards / "t-000000.tar").read_bytes())
    assert kind_of_source(renamed).name == "tar"
    assert kind_of_source("s3://bucket/a-{0..3}.tar").name == "tar"
    data = open_source(shards, TRANSFORM)
    assert (type(data), data.targets[-1], data.transform) == (WebDataset, 2, TRANSFORM)
    assert len(open_source(folder)) == 21
    (tmp_path / "other").write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match="is no source that fastload knows"):
        kind_of_source(tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        kind_of_source(tmp_path / "nowhere")
