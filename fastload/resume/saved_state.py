"""What ``state_dict()`` gives.

An epoch is determined by the generators as they were when its sampler began, the base seed of its workers, and where each worker's
generators stood after the last batch that it gave. None of this grows with the data set, and nothing that was decoded is decoded
again.
"""

from __future__ import annotations

from typing import Any

from fastload.engine import GeneratorStates
from fastload.resume.epoch_log import EpochLog
from fastload.resume.epoch_progress import Progress
from fastload.resume.sampling import Sampling
from fastload.resume.state_checks import FORMAT, FORMAT_KEY


def state_of(sampling: Sampling, record: EpochLog) -> dict[str, Any]:
    """A fresh dictionary of plain Python values; JSON can hold it if it can hold the states of data set and sampler."""
    progress = record.progress or Progress(record.epoch + 1)
    epoch = getattr(sampling.sampler, "epoch", None)
    start = progress.start
    if (
        start is None and progress.base_seed is not None and not progress.finished
    ):  # the sampler begins with the first batch
        start = progress.at_iter or GeneratorStates.now(sampling.own)
    return {
        FORMAT_KEY: FORMAT,
        "_num_yielded": progress.yielded,
        "_sampler_iter_yielded": progress.batches,
        "_iterator_finished": progress.finished,
        "rng": sampling.rng,
        "seed": sampling.seed,
        "style": sampling.style,
        "sampler": sampling.sampler_name,
        "length": sampling.length,
        "num_workers": sampling.num_workers,
        "num_replicas": sampling.replicas,
        "epoch": progress.epoch,
        "sampler_epoch": epoch if type(epoch) is int else None,
        "generators": GeneratorStates.now(sampling.own).to_json(),
        "base_seed": progress.base_seed,
        "start": start.to_json() if start is not None else None,
        "samples": progress.samples,
        "failures": [record.tolerance.failed, record.tolerance.in_a_row],
        "sampler_state": progress.sampler_state,
        "next_worker": progress.next_worker,
        "workers": {str(worker): kept() for worker, kept in list(progress.workers.items())},
    }
