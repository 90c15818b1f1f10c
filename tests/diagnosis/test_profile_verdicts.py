"""Verdicts, shares and predictions of facts that are made up: each kind from its own evidence, whoever is busy meanwhile."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from made_up import run

from fastload.diagnosis.contention import is_crowded
from fastload.diagnosis.facts import Facts, LoaderFacts
from fastload.diagnosis.predictions import predictions_of
from fastload.diagnosis.report_html import html_of
from fastload.diagnosis.report_json import report_of
from fastload.diagnosis.report_text import text_of
from fastload.diagnosis.scalability import fitted, rate_at
from fastload.diagnosis.shares import shares_of
from fastload.diagnosis.verdict import KINDS, verdict_of

DECODING = {"decode": [0.17, 0.17, 4], "item": [0.01, 0.01, 4]}
READING = {"decode": [0.04, 0.04, 4], "item": [0.14, 0.01, 4]}
PROBE = {"request_s": 0.001, "byte_s": 1e-7, "file_bytes": 1e6, "place": "/data", "many_bytes_per_s": 3e7}
MEMORY = {"memory_total": 2**34, "memory_available": 2**33}

RUNS = {
    "pageable_copies": (
        run(
            wait=0.001,
            work=0.05,
            device={"wait": 0.0, "work": 0.05, "idle": 0.0, "copy": 0.02, "pageable": 0.02, "copied": 1e8},
        ),
        "copies",
    ),
    "pinned_copies": (
        run(
            wait=0.001,
            work=0.05,
            device={"wait": 0.0, "work": 0.05, "idle": 0.0, "copy": 0.02, "pageable": 0.0, "copied": 1e9},
        ),
        "copies",
    ),
    "compute: on a device": (
        run(
            wait=0.09,
            work=0.01,
            wall=0.04,
            device=dict.fromkeys(("wait", "idle", "copy", "pageable", "copied"), 0.0) | {"work": 0.1},
        ),
        None,
    ),
    "compute": (run(wait=0.001, work=0.2, stages=DECODING, wall=0.04), None),
    "balanced": (run(wait=0.001, work=0.1, stages=DECODING, wall=0.18), None),
    "decode": (run(stages=DECODING), "decoding"),
    "python": (
        run(stages={"item": [0.01, 0.01, 4], "transform:Blur": [0.15, 0.15, 4], "transform:Flip": [0.02, 0.02, 4]}),
        "Blur",
    ),
    "python: an item": (run(stages={"item": [0.18, 0.0, 4]}), "Photos.__getitem__"),
    "python: collate": (run(stages={"item": [0.01, 0.01, 4], "collate:pad": [0.17, 0.0, 1]}), "pad"),
    "storage_latency": (
        run(stages=READING, loader={"storage_share": 0.7, "experiments": {"storage": {**PROBE, "request_s": 0.5}}}),
        "/data",
    ),
    "storage_bandwidth": (
        run(stages=READING, loader={"storage_share": 0.7, "experiments": {"storage": PROBE}}),
        "/data",
    ),
    "memory": (
        run(
            stages=READING,
            loader={"storage_share": 0.7},
            machine={
                **MEMORY,
                "vm": {"workingset_refault_file": (0, 1000)},
                "disk": {"read_bytes": (0, 5e6)},
                "group": {"memory_limit": 2**29, "memory_used": 2**29 - 4096, "memory_failures": (5, 10)},
            },
        ),
        "memory",
    ),
    "memory: swap": (run(stages=DECODING, machine={**MEMORY, "vm": {"pswpin": (0, 400), "pswpout": (0, 400)}}), "swap"),
    "too_few_workers": (run(wait=0.1, work=0.1, stages=DECODING, wall=0.19, what={"num_workers": 1}), "num_workers=1"),
    "too_many_workers": (
        run(stages=DECODING, machine={"group": {"quota_cores": 0.5, "periods": (0, 10), "throttled": (0, 8)}}),
        "quota",
    ),
    "too_many_workers: whom a quota stops wants a core, too": (
        run(
            stages={"decode": [0.9, 0.17, 4]},
            fetch={"queued": 0.7},
            machine={"tree_runnable": 2.2, "group": {"quota_cores": 0.3, "periods": (0, 10), "throttled": (0, 10)}},
            wall=0.9,
        ),
        "quota",
    ),
    "too_many_workers: crowd": (
        run(
            stages={"decode": [0.9, 0.17, 4]},
            what={"num_workers": 16},
            fetch={"queued": 0.7},
            machine={"tree_runnable": 12},
            wall=0.9,
        ),
        "num_workers=16",
    ),
    "nested_pool": (run(stages={"item": [0.02, 0.02, 4], "pool": [0.16, 0.01, 8]}), "Photos"),
    "shm: full": (
        run(steps=2, loader={"error": "RuntimeError: DataLoader worker is killed by signal: Bus error."}),
        "/dev/shm",
    ),
    "shm: large": (run(stages={"item": [0.01, 0.01, 4], "collate:default_collate": [0.17, 0.17, 1]}), "shared memory"),
    "epoch_start": (
        run(wait=0.001, work=0.05, steps=5, epochs=4, start=1.5, stages=DECODING, wall=0.02),
        "starting workers",
    ),
    "main_thread": (run(stages=DECODING, step={"sampler": 0.08, "cpu": 0.08}, wall=0.01), "sampler"),
    "one_slow_sample": (
        run(stages=DECODING, fetch={"item_seconds": 0.176, "slowest": (0.17, "13", "/data/huge.jpg")}),
        "/data/huge.jpg",
    ),
    "not_enough_data": (run(steps=3, stages=DECODING), None),
}
for facts, _ in (RUNS["shm: large"],):
    for step in facts.loaders[0].steps:
        step.size = 64 * 2**20
RUNS["too_many_workers: whom a quota stops wants a core, too"][0].machine.cores = 0.3


@pytest.mark.parametrize("name", RUNS)
def test_each_kind_has_its_evidence(name):
    facts, what = RUNS[name]
    facts.loaders[0].crowded = is_crowded(facts.machine)
    found = verdict_of(facts)
    assert found.kind == name.partition(":")[0] and found.kind in KINDS, found.sentence
    assert what is None or what in found.what
    assert found.sentence.endswith(".")


def test_a_slow_sample_holds_a_batch_that_native_threads_share():
    facts = run(wait=0.001, what={"threads": 2}, loader={"stats": {0: {"batches": 40, "stages": {"decode": 1.0}}}})
    mine = facts.loaders[0]
    mine.fetches = []
    for k, step in enumerate(mine.steps):
        step.made, step.slowest = 0.02, (0.008, str(4 * k), None)
        if k % 10 == 5:
            step.wait, step.made, step.slowest = 0.4, 0.415, (0.4, "22", "/data/huge.jpg")
    found = verdict_of(facts)
    assert (found.kind, found.what) == ("one_slow_sample", "/data/huge.jpg"), found.sentence
    assert report_of(facts)["loaders"][0]["slowest_samples"][0] == {
        "seconds": 0.4,
        "index": "22",
        "path": "/data/huge.jpg",
    }


def test_a_slow_sample_is_one_whose_thread_worked_or_slept_and_not_one_that_had_no_core():
    facts = run(wait=0.02, work=0.01, stages=DECODING, wall=0.04, fetch={"item_seconds": 0.04})
    mine = facts.loaders[0]
    for k in (9, 19, 29):
        mine.steps[k].wait = mine.fetches[k].wall = mine.fetches[k].item_seconds = 4.8
        mine.fetches[k].queued, mine.fetches[k].slowest = 3.7, (3.7, "13", "/data/huge.jpg")
    assert verdict_of(facts).kind != "one_slow_sample"  # it may have been any of its batch
    for k in (9, 19, 29):
        mine.fetches[k].slowest_cpu = 0.8
    assert verdict_of(facts).what == "/data/huge.jpg"


def test_what_the_machine_did_before_the_first_batch_hides_no_crowd():
    facts, _ = RUNS["too_many_workers: crowd"]
    importing = [{"at": float(at), "tree_runnable": 1} for at in range(90)]
    facts = Facts(facts.loaders, dataclasses.replace(facts.machine, samples=[*importing, *facts.machine.samples]))
    assert not is_crowded(facts.machine) and is_crowded(facts.machine.during(*facts.loaders[0].span))
    assert verdict_of(facts).kind == "too_many_workers"


def test_each_batch_pays_for_its_own_way_through_shared_memory():
    facts = run(stages=DECODING, loader={"sent": 40 * 0.09})
    assert shares_of(facts, facts.loaders[0])["shared_memory"] == pytest.approx(0.9 * 0.09 / (0.18 + 0.09), abs=0.02)


def test_a_cold_cache_is_one_that_gets_warm():
    cold, warm = (
        run(stages=READING, loader={"storage_share": 0.4}),
        run(wait=0.001, work=0.02, stages=DECODING, wall=0.02),
    )
    mine, later = cold.loaders[0], warm.loaders[0]
    last = mine.steps[-1].at + 1
    for epoch in (1, 2):
        for step in later.steps:
            mine.steps.append(dataclasses.replace(step, epoch=epoch, at=step.at - 100 + last))
        for fetch in later.fetches:
            mine.fetches.append(dataclasses.replace(fetch, at=fetch.at - 100 + last))
        mine.starts.append((epoch, last, 0.01))
        last = mine.steps[-1].at + 1
    assert verdict_of(cold).kind == "cold_cache"


def test_one_slow_rank_is_the_one_that_nobody_waits_for():
    facts = run(wait=0.001, work=0.2, stages=DECODING, wall=0.04, step={"sync": 0.15})
    slow = run(wait=0.15, work=0.05, stages=DECODING, wall=0.3, step={"sync": 0.001}).loaders[0]
    for rank, loader in enumerate((facts.loaders[0], slow)):
        loader.rank, loader.ranks = rank, 2
    facts.loaders.append(slow)
    found = verdict_of(facts)
    assert (found.kind, found.what) == ("one_slow_rank", "rank 1") and "loader" in found.sentence
    assert shares_of(facts, facts.loaders[0])["other_ranks"] == pytest.approx(0.74, abs=0.02)


def test_a_slow_start_hides_no_slow_rank():
    facts = run(wait=0.001, work=0.2, stages=DECODING, wall=0.04, step={"sync": 0.15})
    slow = run(wait=0.15, work=0.05, stages=DECODING, wall=0.3, step={"sync": 0.001}).loaders[0]
    for rank, loader in enumerate((facts.loaders[0], slow)):
        loader.rank, loader.ranks = rank, 2
        loader.starts[:] = [(loader.steps[0].epoch, 0.0, 100.0)]
    facts.loaders.append(slow)
    assert shares_of(facts, facts.loaders[0])["other_ranks"] < 0.15
    assert (verdict_of(facts).kind, verdict_of(facts).what) == ("one_slow_rank", "rank 1")


def test_other_programs_on_the_cores_are_no_cause():
    facts = run(wait=0.9, wall=1.8, stages={"decode": [1.78, 0.17, 4], "item": [0.02, 0.01, 4]}, fetch={"queued": 1.6})
    assert verdict_of(facts).kind == "decode"
    assert shares_of(facts, facts.loaders[0])["cores"] > 0.7
    facts = run(wait=0.05, work=0.05, wall=0.1, stages={"decode": [0.1, 0.005, 4]}, fetch={"queued": 0.095})
    found = verdict_of(facts)
    assert found.kind == "compute" and "for cores that other programs have" in found.sentence


def test_no_loader_is_said():
    assert "No DataLoader" in verdict_of(Facts()).sentence
    report = report_of(Facts())
    assert report["verdict"]["kind"] == "not_enough_data" and "No DataLoader" in text_of(report)


@pytest.mark.parametrize("name", RUNS)
def test_shares_are_all_of_the_time(name):
    report = report_of(RUNS[name][0])
    assert sum(report["shares"].values()) == pytest.approx(100, abs=1e-6)
    assert all(share >= 0 for share in report["shares"].values())
    for kind, (low, high) in report["intervals"].items():
        assert 0 <= low <= high <= 100, kind
    assert json.loads(json.dumps(report)) == report or report["loaders"]  # plain values
    gains = [each["images_per_second"] for each in report["predictions"]]
    assert gains == sorted(gains, reverse=True)


def test_a_wait_is_the_batch_that_ended_it():
    facts = run(wait=0.01, work=0.01, stages=DECODING, wall=0.02)
    mine = facts.loaders[0]
    mine.steps[20].wait = 5.0
    mine.fetches[20] = dataclasses.replace(
        mine.fetches[20], at=mine.steps[20].at, wall=5.0, stages={"transform:Odd": [5.0, 5.0, 4]}
    )
    shares = shares_of(facts, mine)
    assert shares.seconds["python"] == pytest.approx(5.0, rel=0.05)


def test_predictions_rest_on_measurements():
    rates = [[1, 21.0], [2, 40.0], [4, 78.0]]
    facts = run(
        wait=0.09,
        work=0.01,
        stages=DECODING,
        loader={"experiments": {"sweep": {"unit": "workers", "rates": rates, "fit": fitted(rates)}}},
    )
    mine = facts.loaders[0]
    found = {each.remedy: each for each in predictions_of(facts, mine, shares_of(facts, mine))}
    assert found["num_workers=4"].images_per_second == pytest.approx(78, rel=0.04)  # and four batches more in flight
    assert "num_workers=4" in found["num_workers=4"].line
    assert found["num_workers=8"].rests_on.startswith("the fitted law")
    assert "num_workers=1" not in found  # it would lose


def test_a_training_step_bounds_every_prediction():
    rates = [[1, 21.0], [2, 400.0]]
    facts = run(
        wait=0.09,
        work=0.05,
        stages=DECODING,
        what={"num_workers": 1},
        loader={"experiments": {"sweep": {"unit": "workers", "rates": rates}}},
    )
    mine = facts.loaders[0]
    best = predictions_of(facts, mine, shares_of(facts, mine))[0]
    assert best.images_per_second == pytest.approx(4 / 0.05, rel=0.02)


@pytest.mark.parametrize(("contention", "crosstalk"), [(0.0, 0.0), (0.1, 0.0), (0.05, 0.01), (0.3, 0.002)])
def test_the_law_is_found_again(contention, crosstalk):
    law = {"rate": 120.0, "contention": contention, "crosstalk": crosstalk}
    fit = fitted([(n, rate_at(law, n)) for n in (1, 2, 4, 8, 16)])
    for name, value in law.items():
        assert fit[name] == pytest.approx(value, rel=1e-6, abs=1e-9)
    if crosstalk:
        assert fit["knee"] == pytest.approx(min(16, ((1 - contention) / crosstalk) ** 0.5))  # of those that were tried


def test_a_law_needs_three_points():
    assert fitted([(1, 10.0), (2, 19.0)]) is None


def test_the_page_stands_alone_and_holds_the_report():
    pytest.importorskip("plotly")
    facts = run(
        stages=DECODING,
        loader={"experiments": {"sweep": {"unit": "workers", "rates": [[1, 9.0], [2, 18.0]], "fit": None}}},
    )
    facts.loaders[0].fetches[3].slowest = (3.0, "5", "/data/</script><b>.jpg")
    report = report_of(facts)
    page = html_of(report)
    inside = page.split('<script type="application/json" id="report">')[1].split("</script>")[0]
    assert json.loads(inside) == json.loads(json.dumps(report))
    assert "<b>.jpg" not in page
    assert 'src="http' not in page and '<link rel="stylesheet' not in page
    assert f'<span id="kind">{report["verdict"]["kind"]}</span>' in page


def test_the_facts_of_a_loader_without_steps():
    assert report_of(Facts([LoaderFacts(0, 1, what={"dataset": []})]))["verdict"]["kind"] == "not_enough_data"


@pytest.mark.parametrize("name", RUNS)
def test_a_sentence_tells_the_waiting_that_the_shares_are(name):
    for start in (0.01, 3.0):
        facts = dataclasses.replace(RUNS[name][0])
        mine = dataclasses.replace(facts.loaders[0], starts=[(0, 97.0, start), *facts.loaders[0].starts[1:]])
        facts.loaders = [mine]
        report = report_of(facts)
        shares, sentence = report["shares"], report["verdict"]["sentence"]
        waited = 100 - shares["compute"] - shares["copy"] - shares["other_ranks"]
        told = re.search(r"waits (?:for it )?(\d+)% of the time", sentence)
        assert told is None or float(told[1]) == pytest.approx(waited, abs=0.52), sentence
        if (
            max(shares, key=shares.get) == "epoch_start"
            and report["verdict"]["kind"] != "epoch_start"
            and len(mine.steps) > 8
        ):
            assert "the first epoch's start" in sentence


def test_nothing_that_is_slower_than_now_would_help():
    rates = [[1, 21.0], [2, 40.0], [4, 60.0]]
    facts = run(
        steps=10, start=3.0, stages=DECODING, loader={"experiments": {"sweep": {"unit": "workers", "rates": rates}}}
    )
    text = text_of(report_of(facts))
    now = float(re.search(r"([\d.]+) images/s, starts", text)[1])
    told = re.findall(r"([\d.]+) images/s \( *([\d.]+)x\)", text)
    assert told and all(float(rate) > now and float(gain) >= 1.0 for rate, gain in told)


def test_a_batch_that_never_came_is_told_with_its_worker():
    hang = dataclasses.replace(run().loaders[0].fetches[0], worker=1, slowest=(29.0, "17", None))
    mine = run(loader={"open_wait": 30.0, "open_worker": 1, "open_fetches": [hang]})
    assert "no batch came for 30.0 s (worker 1 was at item 17)." in report_of(mine)["verdict"]["sentence"]
    assert "no batch came" not in text_of(report_of(run(loader={"open_wait": 0.3})))


def test_of_several_loaders_the_headline_names_its_own():
    facts = run(stages=DECODING)
    facts.loaders.append(dataclasses.replace(run(steps=3, what={"dataset": ["Others"]}).loaders[0], number=1))
    report = report_of(facts)
    told = "loader 0: DataLoader(Photos), num_workers=2"
    assert told in " ".join(text_of(report).splitlines()[1:3])
    report["loaders"].pop()
    assert told not in text_of(report)


def test_native_augmentations_are_a_part_of_their_own():
    stages = {"read": 0.1, "decode": 2.0, "resample": 0.5, "ColorJitter": 3.0, "RandomErasing": 1.0}
    facts = run(what={"threads": 2, "mode": "native"}, loader={"stats": {0: {"batches": 40, "stages": stages}}})
    found, shares = verdict_of(facts), shares_of(facts, facts.loaders[0])
    assert (found.kind, found.what) == ("augment", "ColorJitter") and "ColorJitter costs most" in found.sentence
    assert shares["augment"] / shares["decode"] == pytest.approx(4.0 / 2.5)


def test_what_a_stream_does_while_the_consumer_waits_is_no_waiting():
    """A loop that only launches: it waits 90 ms for each batch, for 60 of which the device still computes."""
    device = {"wait": 0.03, "work": 0.07, "idle": 0.0, "copy": 0.01, "pageable": 0.0, "copied": 1e6}
    facts = run(wait=0.09, work=0.01, stages=DECODING, device=device)
    report = report_of(facts)
    shares = report["shares"]
    assert shares["compute"] == pytest.approx(60, abs=1) and shares["copy"] == pytest.approx(10, abs=1)
    assert 100 - shares["compute"] - shares["copy"] == pytest.approx(30, abs=1) and shares["decode"] > 20
    assert report["steps"]["wait_seconds"]["mean"] == pytest.approx(0.03)
    assert report["steps"]["work_seconds"]["mean"] == pytest.approx(0.07)
    mine = facts.loaders[0]
    mine.experiments["sweep"] = {"unit": "workers", "rates": [[1, 21.0], [2, 400.0], [4, 800.0]]}
    best = predictions_of(facts, mine, shares_of(facts, mine))[0]
    assert best.images_per_second == pytest.approx(4 / 0.07, rel=0.03)  # whatever loads


def test_counters_of_a_group_that_a_process_has_left_take_nothing_back():
    group = [{"group": {"periods": count, "throttled": count - 10}} for count in (10, 20, 30, 0)]
    machine = dataclasses.replace(run().machine, samples=[{"at": float(at), **each} for at, each in enumerate(group)])
    assert (machine.grew("group", "periods"), machine.grew("group", "throttled")) == (20, 20)


def test_what_no_kernel_ran_in_is_the_steps_own_and_no_computing():
    device = {"wait": 0.0, "work": 0.1, "idle": 0.0, "copy": 0.02, "pageable": 0.0, "copied": 1e6}
    gpu = {"percent": 35.0, "memory_percent": 1.0, "memory_used": 2**30}
    facts = run(
        steps=100, wait=0.001, work=0.1, wall=0.04, device=device, machine={"gpus": [gpu, {**gpu, "percent": 0.0}]}
    )
    report = report_of(facts)
    shares = report["shares"]
    assert shares["compute"] == pytest.approx(35, abs=0.1) and shares["copy"] == pytest.approx(20, abs=0.5)
    assert shares["launch"] == pytest.approx(45, abs=1) and sum(shares.values()) == pytest.approx(100)
    gpu["percent"] = 79.0
    assert shares_of(facts, facts.loaders[0])["launch"] == 0.0  # NVML is no better than that
    device["copy"], gpu["percent"] = 0.0, 30.0
    assert "no kernel runs on the GPU" in verdict_of(facts).sentence and verdict_of(facts).kind == "compute"
