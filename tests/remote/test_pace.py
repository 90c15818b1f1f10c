"""How many requests are under way, when one is late, and which are sent again at once."""

from __future__ import annotations

import heapq
import itertools

import pytest

from fastload.remote import pace, transfer_threads
from fastload.remote.pace import Pace
from fastload.remote.transfer_threads import Transfers
from waiting import until

SMALL, LARGE, LARGER = 100_000, 300_000, 600_000


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(pace, "time", made)
    return made


def answered(clock, made, seconds, count, wanted=10**9):
    """``count`` requests that take ``seconds`` in turn, as many at once as may be and are ``wanted``; how many at last."""
    under_way = []
    for _ in range(count):
        while len(under_way) < min(made.at_once, wanted):
            took = next(seconds)
            heapq.heappush(under_way, (clock.now + took, took))
        clock.now, took = heapq.heappop(under_way)
        made.note(SMALL, took)
    return len(under_way) + 1


def test_a_store_whose_answers_take_a_third_or_three_times_as_long_is_asked_for_more(clock):
    made = Pace(256)
    seconds = itertools.cycle([0.01, 0.03, 0.03, 0.05, 0.03, 0.09])
    assert answered(clock, made, seconds, 4000) > 200


def test_no_more_than_twice_what_is_wanted(clock):
    made = Pace(256)
    answered(clock, made, itertools.cycle([0.02, 0.03, 0.04]), 4000, wanted=40)
    assert 60 <= made.at_once <= 100


def test_a_pause_says_nothing_of_the_rate(clock):
    made = Pace(256)
    answered(clock, made, itertools.cycle([0.02, 0.03, 0.04]), 4000, wanted=40)
    before = made.at_once
    for _ in range(20):
        clock.now += 30
        answered(clock, made, itertools.cycle([0.02, 0.03, 0.04]), 64, wanted=40)
        assert made.at_once >= 0.7 * before


def test_the_first_large_ones_that_were_slow_are_forgotten():
    made = Pace(256)
    for _ in range(300):
        made.note(SMALL, 0.03)
    for _ in range(24):
        made.note(LARGE, 3.0)
    assert made.hedge_after(LARGE) == 4.5
    for number in range(100):
        made.note(LARGE, 0.04)
        for _ in range(20 + number % 3):
            made.note(SMALL, 0.03)
    assert made.hedge_after(LARGE) == pytest.approx(0.06)
    assert made.hedge_after(SMALL) == pytest.approx(0.045)


def test_sizes_of_which_little_is_known_are_judged_by_the_smaller_ones():
    made = Pace(256)
    assert made.hedge_after(SMALL) == made.hedge_after(LARGER) == 0.5
    for _ in range(32):
        made.note(SMALL, 0.03)
    made.note(LARGER, 3.0)
    assert [made.hedge_after(size) for size in (LARGE, LARGER)] == [pytest.approx(0.09), pytest.approx(0.18)]


@pytest.fixture
def few(store, monkeypatch):
    """A client that may send two at once again; the URLs; and how often it paused."""
    server, folder = store
    pauses = []
    monkeypatch.setattr(Pace, "most_hedges", lambda pace: 2)
    monkeypatch.setattr(transfer_threads, "back_off", lambda failures, trouble: pauses.append(failures) or 0.001)
    transfers = Transfers(None, most_at_once=32, seconds=500)
    yield server, transfers, [f"s3://bucket/train/{p.relative_to(folder)}" for p in folder.rglob("*.jp*g")], pauses
    transfers.end()


@pytest.mark.parametrize(
    ("rule", "paused"),
    [
        ({"kind": "error", "code": 500, "times": 1}, []),
        ({"kind": "error", "code": 502, "times": 1}, []),
        ({"kind": "cut", "at": 5, "times": 1}, []),
        ({"kind": "error", "code": 500, "times": 3}, [2, 3]),
        ({"kind": "error", "code": 500, "times": 1, "seconds": 0}, [1]),
        ({"kind": "error", "code": 503, "times": 1}, [1]),
        ({"kind": "error", "code": 429, "times": 1}, [1]),
    ],
    ids=str,
)
def test_one_that_failed_is_sent_again_at_once_unless_the_server_has_too_much_to_do(few, monkeypatch, rule, paused):
    server, transfers, urls, pauses = few
    monkeypatch.setattr(Pace, "hedge_after", lambda pace, size: 500.0)
    server.fails(rule)
    transfers.read(urls[0]).wait()
    assert pauses == paused
    assert transfers.figures()["retries"] == server.counts()["requests"] - 1 == rule["times"]


def test_only_a_few_are_sent_again_at_once(few, monkeypatch):
    server, transfers, urls, pauses = few
    monkeypatch.setattr(Pace, "hedge_after", lambda pace, size: 500.0)
    firsts = [{"kind": "error", "code": 500, "times": 1, "match": url.removeprefix("s3:/")} for url in urls[:6]]
    server.fails(*firsts, {"kind": "hang", "seconds": 600})
    reads = [transfers.read(url) for url in urls[:6]]
    until(lambda: server.counts()["requests"] == 12, "each was sent again")
    assert pauses == [1] * 4
    assert not any(read.is_over for read in reads)


def test_a_second_request_that_fails_does_not_end_the_looks_for_the_first(few, monkeypatch):
    server, transfers, urls, _ = few
    monkeypatch.setattr(Pace, "hedge_after", lambda pace, size: 0.05)
    server.fails({"kind": "hang", "seconds": 600, "times": 1}, {"kind": "error", "code": 500, "times": 1})
    transfers.read(urls[0]).wait()
    assert server.counts()["faults"] == 2
    assert transfers.figures()["retries"] == 0
