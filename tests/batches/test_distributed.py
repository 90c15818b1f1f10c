"""Several ranks as torchrun starts them, with gloo, on this machine."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from ranks import Indexed

import children
import fastload
from fastload.shards import Record, write_tar
from images import jpeg_bytes, write_folder

RANKS = Path(__file__).with_name("ranks.py")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("set") / "folder", classes=3, images=8, largest=60)


# What torchrun does, in a process that has imported torch: its ranks are forked.
AGENT = """
    import sys, torch
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch
    import ranks
    number, *given = sys.argv[1:]
    config = LaunchConfig(1, 1, int(number), rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0, start_method="fork")
    torch.set_num_threads(1)
    elastic_launch(config, ranks.main)(*given)
"""


def run(task, folder, out, ranks, *, command=False):
    """What each rank has made; ``command``: by torchrun itself."""
    out.mkdir()
    given = [task, folder, out]
    if command:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        ended = children.run(
            *start, RANKS, *given, env=children.environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
        )
    else:
        ended = children.run_script(AGENT, ranks, *given, warnings=[("ignore", "Warning")])
    assert ended.returncode == 0, ended.stderr[-3000:]
    return [torch.load(out / f"{rank}.pt", weights_only=False) for rank in range(ranks)]


def indices(batches):
    return [target for _, targets in batches for target in targets.tolist()]


@pytest.mark.parametrize(
    ("ranks", "command"),
    [(2, False), pytest.param(2, True, marks=pytest.mark.slow), pytest.param(4, False, marks=pytest.mark.slow)],
)
def test_every_rank_gives_stocks_batches(root, tmp_path, ranks, command):
    for made in run("same_as_stock", root, tmp_path / "out", ranks, command=command):
        assert torch.equal(made["stock"].pop(), made["fastload"].pop())
        for stock, ours in zip(made["stock"], made["fastload"], strict=True):
            assert len(stock) == len(ours) == 24 // ranks // 3
            for (images, targets), (our_images, our_targets) in zip(stock, ours, strict=True):
                assert torch.equal(images, our_images) and torch.equal(targets, our_targets)


def test_ranks_need_no_agreement_but_the_seed(root, tmp_path):
    """What one process makes of each sample, four make of it as well, whatever else differs between them."""
    ranks = run("by_index", root, tmp_path / "out", 4)
    torch.manual_seed(6)
    alone = fastload.DataLoader(Indexed(root), batch_size=24, rng="index")
    for epoch in range(2):
        ((expected, order),) = alone
        assert order.tolist() == list(range(24))
        batches = [batch for rank in ranks for batch in rank[epoch]]
        assert sorted(indices(batches)) == list(range(24))
        for images, targets in batches:
            assert torch.equal(images, expected[targets])


@pytest.mark.slow
def test_every_rank_takes_as_many_steps_though_samples_fail(tmp_path):
    root = write_folder(tmp_path / "folder", classes=3, images=8, largest=60)
    bad = [index for index in range(8, 24) if index % 2 == 1]  # all that rank 1 of 2 sees from its third batch on
    for index in bad:
        Path(Indexed(root).samples[index][0]).write_bytes(b"no image")
    first, second = run("equal_steps", root, tmp_path / "out", 2)
    for key in first:
        (seen, errors, length), (seen_second, errors_second, length_second) = first[key], second[key]
        assert len(seen) == len(seen_second) == length == length_second == 6
        assert (errors, errors_second) == ([], bad)
        size = 1 if key[0] == "skip" else 2
        # The next readable sample of the data set stands in for a batch without any.
        assert seen_second[2:] == [[(last + 1) % 24] * size for last in (11, 15, 19, 23)]


def test_four_ranks_take_as_many_steps_over_tars_and_see_all(tmp_path):
    """By index and streamed; shards that are as many as ranks, of one size or not, and fewer. Unequal steps would never end."""
    layouts = {"even": (6, 6, 6, 6), "uneven": (9, 3, 7, 5), "fewer": (24,)}
    for name, counts in layouts.items():
        (tmp_path / "tars" / name).mkdir(parents=True)
        numbers = iter(range(24))
        for shard, count in enumerate(counts):
            records = [Record(f"{n:03d}.jpg", jpeg_bytes(n, 30, 20), n) for n in itertools.islice(numbers, count)]
            write_tar(tmp_path / "tars" / name / f"{shard}.tar", records, None)
    ranks = run("shards", tmp_path / "tars", tmp_path / "out", 4)
    assert all(rank.keys() == ranks[0].keys() for rank in ranks) and len(ranks[0]) == 6
    for key in ranks[0]:
        for epoch in range(2):
            steps = [[len(batch) for batch in rank[key][epoch]] for rank in ranks]
            assert all(rank == steps[0] for rank in steps) and sum(steps[0]) == 6
            given = Counter(target for rank in ranks for batch in rank[key][epoch] for target in batch)
            if key == ("uneven", "stream"):  # a rank with few begins them again, one with many leaves some
                assert set(given) <= set(range(24)) and sum(given.values()) == 24
            else:
                assert given == Counter(range(24))


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 1)])
def test_an_epoch_goes_on_with_another_number_of_ranks(root, tmp_path, before, after):
    """Every sample of the epoch is given once."""
    stopped = run("stop_half_way", root, tmp_path / "stopped", before)
    states = [state for _, state in stopped]
    given = [batch for batches, _ in stopped for batch in batches]
    torch.save(states[-1], root.parent / "state.pt")  # any rank's will do
    rest = [batch for batches in run("go_on", root, tmp_path / "went_on", after) for batch in batches]
    counts = Counter(indices(given) + indices(rest))
    padding = -(24 - before * 6) % after  # DistributedSampler gives some twice so that ranks are equal
    assert set(counts) == set(range(24)) and sum(counts.values()) == 24 + padding
    torch.manual_seed(6)
    alone = fastload.DataLoader(Indexed(root), batch_size=24, rng="index")
    ((expected, _),) = alone
    for images, targets in given + rest:
        assert torch.equal(images, expected[targets])
