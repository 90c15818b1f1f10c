"""What remedies would give, each by a model whose answer is known: reading ahead, memory, cores; and who is in whose way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up import run as made_up

from fastload.diagnosis.facts import Fetch
from fastload.diagnosis.noisy_neighbour import neighbour_of
from fastload.diagnosis.predictions import predictions_of
from fastload.diagnosis.queue_simulation import loop_seconds
from fastload.diagnosis.report_json import report_of
from fastload.diagnosis.report_text import text_of
from fastload.diagnosis.shares import shares_of

STAGES = {"read": 1.0, "header": 0.0, "decode": 5.0, "resample": 2.0, "pack": 2.0}
SIZES = {"encoded": 1e8, "decoded": 1e9, "room": 2e9}


def found(facts):
    mine = facts.loaders[0]
    predictions = predictions_of(facts, mine, shares_of(facts, mine))
    assert [each.images_per_second for each in predictions] == sorted(
        (each.images_per_second for each in predictions), reverse=True
    )
    return {each.remedy: each for each in predictions}


def with_sweep(**sweep):
    return made_up(wait=0.09, work=0.01, loader={"experiments": {"sweep": sweep}})


def test_a_queue_takes_what_a_queue_takes():
    assert loop_seconds([1.0] * 8, [0.0] * 8, 1, 2) == pytest.approx(8)  # one worker is what bounds it
    assert loop_seconds([1.0] * 8, [0.0] * 8, 2, 4) == pytest.approx(4)
    assert loop_seconds([1.0] * 8, [2.0] * 8, 2, 4) == pytest.approx(17)  # the training is
    uneven = [0.1] * 15 + [8.0] + [0.1] * 16
    near, far = (loop_seconds(uneven, [1.0] * 32, 2, ahead) for ahead in (2, 16))
    assert near > far + 5 and far == pytest.approx(32, abs=1.5)  # a store that lasts while one batch takes long


def test_reading_ahead_helps_where_times_vary_and_only_there():
    even = made_up(wait=0.09, work=0.01)
    assert not any(remedy.startswith("prefetch_factor") for remedy in found(even))
    uneven = made_up(wait=0.05, work=0.05, steps=64)
    mine = uneven.loaders[0]
    mine.fetches = [
        Fetch(2 + k % 2, k % 2, step.at, 0.8 if k % 16 == 9 else 0.04, items=4) for k, step in enumerate(mine.steps)
    ]
    remedies = found(uneven)
    assert remedies["prefetch_factor=16"].images_per_second > 1.2 * 40
    assert remedies["prefetch_factor=16"].line == "DataLoader(..., prefetch_factor=16)"


def test_memory_saves_the_stages_that_it_makes_needless():
    rates = [[1, 20.0], [2, 40.0]]
    facts = with_sweep(unit="workers", rates=rates, native=[[1, 50.0], [2, 100.0]], stages=STAGES, sizes=SIZES)
    remedies = found(facts)
    assert remedies["cache_decoded"].images_per_second == pytest.approx(100 * 10 / 4, rel=0.03)
    assert remedies["cache_encoded"].images_per_second == pytest.approx(100 * 10 / 9, rel=0.03)
    assert 'fastload.DataLoader(..., num_workers=2, cache="decoded")  # 1.00 GB' in remedies["cache_decoded"].line
    assert "gpu_decode" not in remedies
    facts.machine.samples[0]["gpus"] = [{"percent": 5}]
    assert found(facts)["gpu_decode"].images_per_second == pytest.approx(400, rel=0.03)  # 4 / T_comp
    facts.loaders[0].experiments["sweep"]["sizes"] = {**SIZES, "room": 5e8}
    assert "cache_decoded" not in found(facts) and "cache_encoded" in found(facts)


def test_more_cores_help_where_the_cores_are_full():
    full = with_sweep(unit="workers", rates=[[1, 24.0], [2, 40.0], [4, 41.0]], fit=None)
    expected = 4 * 24 / (1 + 0.2 * 3)  # a fifth of the work is done one at a time
    assert found(full)["more_cores"].images_per_second == pytest.approx(expected, rel=0.03)
    assert found(full)["more_cores"].line == "DataLoader(..., num_workers=4)  # on 4 cores in place of 2"
    sleeping = with_sweep(unit="workers", rates=[[1, 20.0], [2, 40.0], [4, 80.0]], fit=None)
    assert "more_cores" not in found(sleeping)


def test_copies_are_said_with_what_they_reach():
    device = {"wait": 0.0, "work": 0.06, "idle": 0.0, "copy": 0.02, "pageable": 0.02, "copied": 1e8}
    facts = made_up(wait=0.01, work=0.05, wall=0.04, what={"pin_memory": False}, device=device)
    facts.loaders[0].experiments["copies"] = {"pinned_bytes_per_s": 25e9, "pageable_bytes_per_s": 5e9}
    remedies = found(facts)
    assert "25.0 GB/s from pinned memory and 5.0" in remedies["pin_memory"].rests_on
    assert remedies["pin_memory"].step_seconds == pytest.approx(0.04 + 1e8 / 25e9, rel=0.01)
    assert remedies["copies_beside"].step_seconds == pytest.approx(0.04, rel=0.01)
    assert remedies["copies_beside"].line == 'fastload.DataLoader(..., device="cuda")'
    facts.loaders[0].experiments["copies"]["pinning_bytes_per_s"] = 1e9  # what pins is what bounds it
    assert "pin_memory" not in found(facts)
    facts.loaders[0].experiments["copies"]["pinning_bytes_per_s"] = 2e9
    assert found(facts)["pin_memory"].step_seconds == pytest.approx(0.05)
    facts.loaders[0].fetches = [replace(fetch, wall=0.11) for fetch in facts.loaders[0].fetches]
    assert found(facts)["pin_memory"].step_seconds == pytest.approx(0.055, abs=0.001)  # two workers are no faster
    facts.loaders[0].what["pin_memory"] = True
    assert "pin_memory" not in found(facts)


def test_nothing_is_read_ahead_from_one_epoch_into_the_next():
    facts = made_up(wait=0.01, work=0.05, steps=8, epochs=6, start=0.5)
    for k, fetch in enumerate(facts.loaders[0].fetches):
        fetch.wall = 1.0 if k % 8 < 2 else 0.01  # each worker's first batch opens something
    assert not any(remedy.startswith("prefetch_factor") for remedy in found(facts))


def test_a_step_beside_working_workers_is_compared_with_one_beside_idle_ones():
    facts = made_up(wait=0.0, work=0.1, steps=40)
    mine = facts.loaders[0]
    mine.fetches = []
    for k, step in enumerate(mine.steps):  # both workers work all the time of every other step
        if k % 2:
            step.work = 0.15
            mine.fetches += [Fetch(2 + worker, worker, step.at, 0.15, items=4) for worker in (0, 1)]
        step.at = 100.0 + 0.125 * k - (0.025 if k % 2 else 0.0)
    for fetch, step in zip(
        mine.fetches, [step for step in mine.steps for _ in (0, 1) if step.work == 0.15], strict=True
    ):
        fetch.at = step.at
    expected = {"idle_seconds": 0.1, "busy_seconds": 0.15, "idle_steps": 20, "busy_steps": 20}
    assert neighbour_of(mine) == pytest.approx(expected)
    report = report_of(facts)
    assert report["steps"]["neighbour"] == pytest.approx(expected)
    assert "T_comp is 100.0 ms while the workers stand idle and 150.0 ms while they work" in text_of(report)
    mine.fetches = []
    assert neighbour_of(mine) is None


def test_nobody_knows_what_is_left_without_a_function_where_threads_wait_for_cores():
    stages = {"transform:Slow": [0.9, 0.1, 4], "collate:pad": [0.3, 0.02, 1], "item": [0.5, 0.01, 4]}
    facts = made_up(wait=0.9, work=0.001, wall=1.8, stages=stages)
    assert "without_function" in found(facts)
    facts.loaders[0].crowded = True
    assert "without_function" not in found(facts)


def test_storage_that_the_loader_alone_did_not_wait_for_is_added_and_other_storage_is_not():
    stages = {"item": [0.5, 0.02, 4]}
    loader = {"storage_share": 0.9, "experiments": {"sweep": {"unit": "workers", "rates": [[1, 100.0], [2, 200.0]]}}}
    facts = made_up(wait=0.24, work=0.01, steps=100, wall=0.5, stages=stages, loader=loader)  # two workers: 16 a second
    assert found(facts)["faster_storage"].images_per_second == pytest.approx(200, rel=0.1)
    assert "num_workers=1" not in found(facts)
    facts.loaders[0].experiments["sweep"]["rates"] = [[1, 8.0], [2, 16.0], [4, 32.0]]  # files that no cache keeps
    assert found(facts)["num_workers=4"].images_per_second == pytest.approx(32, rel=0.1)
    assert found(facts)["faster_storage"].rests_on == "the share of a batch that waits for storage"


def test_without_slow_samples_the_batches_behind_them_are_not_late_either():
    facts = made_up(wait=0.02, work=0.01, wall=0.02, steps=40)
    mine, at = facts.loaders[0], 100.01
    for k, (step, fetch) in enumerate(zip(mine.steps, mine.fetches, strict=True)):
        # 0.4 s in one sample of each tenth batch: half of it is waited for, and the worker's next batch is late for the other half
        step.at, step.wait = at, 0.22 if k % 10 in (3, 5) else 0.02
        if k % 10 == 3:
            fetch.wall, fetch.item_seconds, fetch.slowest = 0.42, 0.42, (0.4, "13", "/data/huge.jpg")
        fetch.at = at + step.wait - fetch.wall
        at += step.wait + step.work
    step = found(facts)["without_slow_samples"].step_seconds
    every = [0.02] * 40
    assert step == pytest.approx((0.01 + loop_seconds(every, [0.01] * 40, 2, 4)) / 40, rel=0.1)
    assert step < 0.03 - 4 * 0.2 / 40 + 8 * 0.2 / 40  # more than what was waited for the held batches themselves


def test_files_in_memory_make_the_first_batch_and_the_first_epoch_as_fast_as_the_others():
    sweep = {"unit": "workers", "rates": [[1, 100.0], [2, 200.0]]}
    facts = made_up(
        wait=0.01, work=0.01, wall=0.04, steps=20, epochs=4, stages={"item": [0.04, 0.03, 4]}, fetch={"cpu": 0.03},
        loader={"storage_share": 0.9, "experiments": {"sweep": sweep}},
    )  # fmt: skip
    mine, at = facts.loaders[0], 100.0
    for k, (step, fetch) in enumerate(zip(mine.steps, mine.fetches, strict=True)):
        if k % 20 == 0:
            mine.starts[k // 20] = (k // 20, at, 0.01)
            at += 0.01
        fetch.slowest_cpu = 0.008
        if k < 20:  # a sample of each cold batch waits for most of its time, and that of the first one for longest
            fetch.wall = fetch.item_seconds = 2.0 if k == 0 else 0.5
            fetch.slowest = (fetch.wall - 0.04, "7", None)
            fetch.stages = {"item": [fetch.wall, 0.03, 4]}
            step.wait = fetch.wall / 2 if k else 2.0
        step.at, fetch.at = at, max(mine.starts[k // 20][1], at + step.wait - fetch.wall)
        at += step.wait + step.work
    faster = found(facts)["faster_storage"]
    assert faster.rests_on == "the loader alone, with files in memory, measured"
    # A start is its call; 20 batches of 0.04 s each by two workers; the consumer's 0.01 s lie beside them but for the last.
    expected = (0.01 + loop_seconds([0.04] * 20, [0.01] * 20, 2, 4)) / 20
    assert faster.step_seconds == pytest.approx(expected, rel=0.03)


def native(*, crowded, first_wait=0.1):
    stats = {0: {"batches": 40, "stages": {"read": 6.0, "decode": 2.0}}}
    sweep = {"unit": "threads", "rates": [[1, 80.0], [2, 160.0]]}
    what, loader = {"threads": 2}, {"stats": stats, "crowded": crowded, "experiments": {"sweep": sweep}}
    facts = made_up(wait=0.1, work=0.001, steps=40, start=0.0, what=what, loader=loader)
    facts.loaders[0].fetches = []
    facts.loaders[0].steps[0].wait = first_wait
    return found(facts)


def test_what_native_threads_wait_in_reads_is_storage_only_where_they_have_cores():
    assert native(crowded=False)["faster_storage"].images_per_second == pytest.approx(160, rel=0.1)
    assert "faster_storage" not in native(crowded=True)
    # Of the first batch's second three quarters are reading: 0.25 s remain where it takes 1.1 s.
    late = native(crowded=False, first_wait=1.1)["faster_storage"].step_seconds
    assert late == pytest.approx(native(crowded=False)["faster_storage"].step_seconds + 0.25 / 40, rel=0.02)


def test_files_that_no_cache_keeps_are_reckoned_with_from_their_copies_in_memory():
    sweep = {"unit": "workers", "rates": [[1, 8.0], [2, 16.0]]}
    experiments = {"sweep": sweep, "memory": {"workers": 2, "rate": 200.0, "files": 64}}
    loader, stages = {"storage_share": 0.9, "experiments": experiments}, {"item": [0.5, 0.1, 4]}
    facts = made_up(wait=0.24, work=0.01, steps=100, wall=0.5, stages=stages, loader=loader)
    faster = found(facts)["faster_storage"]  # by its share of a batch it would be 80 a second
    assert faster.images_per_second == pytest.approx(200, rel=0.05)
    assert faster.rests_on == "the loader alone, with copies of files in memory, measured"
    facts.loaders[0].what["num_workers"] = 0  # the consumer makes batches itself
    experiments["memory"] = {"workers": 1, "rate": 100.0, "files": 64}
    assert found(facts)["faster_storage"].step_seconds == pytest.approx(0.01 + 4 / 100, rel=0.05)


def test_the_consumers_thread_needs_no_longer_than_the_loader_alone_did():
    """After each wait for storage it needs 60 ms in next(), its caches cold; the loader alone gave a batch of four in 5 ms."""
    experiments = {
        "sweep": {"unit": "workers", "rates": [[1, 8.0], [2, 16.0]]},
        "memory": {"workers": 2, "rate": 800.0},
    }
    loader, stages = {"storage_share": 0.9, "experiments": experiments}, {"item": [0.5, 0.01, 4]}

    def step_of(**step):
        facts = made_up(wait=0.24, work=0.01, steps=100, wall=0.5, stages=stages, loader=loader, step=step)
        return found(facts)["faster_storage"].step_seconds

    assert step_of(cpu=0.06) == pytest.approx(0.01 + 4 / 800, rel=0.05)
    # A sampler is as slow wherever files lie.
    assert step_of(cpu=0.06, sampler=0.06) == pytest.approx(0.01 + 0.06 + 4 / 800, rel=0.1)


def test_what_is_left_without_a_transform_is_what_was_measured_without_it():
    stages = {"transform:Slow": [0.12, 0.0, 4], "item": [0.06, 0.06, 4]}  # a third remains, as the run has it
    facts = made_up(wait=0.089, work=0.001, wall=0.18, stages=stages)
    assert found(facts)["without_function"].images_per_second == pytest.approx(2 * 4 / 0.06, rel=0.05)
    alone = {"function": "Slow", "workers": 2, "rate": 200.0}
    facts.loaders[0].experiments["without"] = alone
    slow = found(facts)["without_function"]
    assert slow.images_per_second == pytest.approx(200, rel=0.05)
    assert slow.rests_on == "the loader alone without Slow, measured"
    alone["function"] = "Other"
    assert "share of Slow" in found(facts)["without_function"].rests_on


def test_native_threads_make_slow_samples_faster_too_and_the_others_go_on_meanwhile():
    sweep = {"unit": "workers", "rates": [[1, 100.0], [2, 200.0]], "native": [[1, 400.0], [2, 800.0]]}
    facts = made_up(wait=0.02, work=0.001, wall=0.04, steps=40, loader={"experiments": {"sweep": sweep}})
    for k in (10, 30):
        facts.loaders[0].fetches[k].slowest = (0.81, "13", "/data/huge.jpg")
    step = found(facts)["native_threads"].step_seconds
    making = [2 * 4 / 800] * 40  # a batch by one of two threads
    for k in (13, 26):
        making[k] += 0.8 / 4  # four times as fast as a worker
    assert step == pytest.approx(loop_seconds(making, [0.001] * 40, 2, 4) / 40, rel=0.01)  # no worker has to start
    sweep["native"] = [[1, 50.0], [2, 200.0]]
    assert "native_threads" not in found(facts)  # a thread that is slower than a worker makes no slow sample faster


def test_files_that_came_from_a_device_come_no_faster_than_it_gives_them():
    probe = {"many_bytes_per_s": 5e6, "file_bytes": 1e5}
    sweep = {"unit": "workers", "rates": [[1, 100.0], [2, 200.0], [4, 400.0]], "native": [[1, 400.0], [2, 800.0]]}
    for read, native, workers in ((1e5, 50, 50), (0.0, 800, 400)):
        experiments = {"sweep": sweep, "storage": probe}
        of_bytes = {"asked_bytes": 1e5, "read_bytes": read}
        facts = made_up(wait=0.39, work=0.001, wall=0.78, fetch=of_bytes, loader={"experiments": experiments})
        assert found(facts)["native_threads"].images_per_second == pytest.approx(native, rel=0.05)
        assert found(facts)["num_workers=4"].images_per_second == pytest.approx(workers, rel=0.1)
