"""The share of two decoders, on a clock of its own: it finds the place where both end together, and stays there."""

from __future__ import annotations

from collections import deque

import pytest

from fastload.balance import LEAST, MOST, Balance

BATCH, AHEAD, DEPTH = 256, 8, 3


def simulate(cpu_rate, gpu_rate, batches, consumer=0.0, jitter=0.0):
    """The loader's own order of waiting; the engine fixes a batch's share when it begins it, up to AHEAD batches early."""
    balance = Balance()
    now, cpu_free, gpu_free = 0.0, 0.0, 0.0
    queue: deque[dict] = deque()
    shares, ends = [], []

    def send(number):
        nonlocal cpu_free
        wobble = 1 + jitter * ((number * 7919) % 13 / 6 - 1)
        cpu_free = max(cpu_free, now)
        gpu_images = round(balance.share * BATCH)
        seconds = (BATCH - gpu_images) / cpu_rate * wobble
        cpu_free += seconds
        queue.append(
            {"gpu": gpu_images, "cpu_seconds": seconds, "ready": cpu_free, "begun": None, "wobble": 2 - wobble}
        )

    for number in range(AHEAD):
        send(number)
    for number in range(batches):
        waited_for_cpu = 0.0
        for job in list(queue)[:DEPTH]:
            if job["ready"] > now:
                waited_for_cpu += job["ready"] - now
                now = job["ready"]
            if job["begun"] is None:
                job["begun"] = now
                gpu_free = max(gpu_free, now) + job["gpu"] / gpu_rate * job["wobble"]
                job["end"] = gpu_free
        job = queue.popleft()
        send(AHEAD + number)
        waited_for_gpu = max(0.0, job["end"] - now)
        now += waited_for_gpu
        balance.add(
            cpu_images=BATCH - job["gpu"],
            cpu_seconds=job["cpu_seconds"],
            gpu_images=job["gpu"],
            begun=job["begun"],
            ended=now,
            waited_for_cpu=waited_for_cpu,
            waited_for_gpu=waited_for_gpu,
        )
        now += consumer
        shares.append(balance.share)
        ends.append(now)
    return shares, ends


@pytest.mark.parametrize("jitter", [0.0, 0.1])
@pytest.mark.parametrize(
    ("cpu_rate", "gpu_rate"), [(10_000, 11_000), (10_000, 20_000), (12_000, 2_000), (1_000, 12_000)]
)
def test_both_end_together(cpu_rate, gpu_rate, jitter):
    shares, ends = simulate(cpu_rate, gpu_rate, 600, jitter=jitter)
    ideal = gpu_rate / (cpu_rate + gpu_rate)
    assert all(share == pytest.approx(ideal, abs=0.08) for share in shares[200:])
    rate = BATCH * 400 / (ends[-1] - ends[199])
    assert rate > 0.9 * (cpu_rate + gpu_rate)


def test_a_slow_consumer_moves_nothing():
    shares, _ = simulate(10_000, 11_000, 300, consumer=0.1)
    assert max(shares[50:]) - min(shares[50:]) < 0.02


def test_a_decoder_that_is_of_no_use_keeps_a_little():
    assert simulate(10_000, 50, 300)[0][-1] == LEAST
    assert simulate(50, 10_000, 300)[0][-1] == MOST
