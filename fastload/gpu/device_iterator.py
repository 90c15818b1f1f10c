"""Native batches that arrive on a device: the engine leaves uint8, the rest is done there.

See Note [who may touch a batch when] in device_copy.py.
"""

from __future__ import annotations

from typing import Any

import torch

from fastload.batches import Mode, PendingBatch, ThreadIterator
from fastload.gpu.bytes_to_values import Finish, bytes_target
from fastload.gpu.device_copy import Destination, map_tensors

# Batches whose copies are begun before they are asked for, if their images are there. One hides the copy behind the consumer's
# work; the second is for a consumer that took long.
_UPLOADS_AHEAD = 2


class Upload:
    """Images on their way: the tensor, and the event behind it."""

    def __init__(self, images: torch.Tensor, event: torch.cuda.Event | None) -> None:
        self.images = images
        self.event = event


class DeviceIterator(ThreadIterator):
    """Native batches on a device."""

    def __init__(self, *given: Any, destination: Destination) -> None:
        self._destination = destination
        super().__init__(*given)

    def _adopt(self, mode: Mode) -> None:
        super()._adopt(mode)
        with self._destination.on_stream():
            self._finish = Finish(
                self._reading.pixelwise,
                self._dtype,
                channels_last=self._channels_last,
                device=self._destination.device,
            )
        self._target = bytes_target(self._finish.channels)
        self._dtype = torch.uint8
        self._memory = self._destination.staging
        self._pin_memory = False

    def _go_on_here(self) -> None:
        self._refuse_if_inherited()  # what it has on the device is the parent's

    def _look_ahead(self) -> None:
        for job in list(self._jobs)[:_UPLOADS_AHEAD]:
            if job.upload is None and self._is_complete(job) and not job.batch.failures:
                job.upload = self._upload(job, None)

    def _is_complete(self, job: PendingBatch) -> bool:
        return job.batch.done

    def _images(self, job: PendingBatch, take: list[int] | None = None) -> torch.Tensor:
        upload = job.upload or self._upload(job, take)
        return self._destination.hand_over(upload.images, upload.event)

    def _moved(self, data: Any) -> Any:
        pinned = map_tensors(data, torch.Tensor.pin_memory) if self._destination.stream is not None else data
        return self._destination.move(pinned)

    def _upload(self, job: PendingBatch, take: list[int] | None) -> Upload:
        with self._destination.on_stream():
            self._destination.wait(job.behind)
            if job.pixels is None:
                count, channels, height, width = job.images.shape
                job.pixels = self._destination.pixels((count, height, width, channels), job.batch.take_block())
            images = self._finish(job.pixels, self._slots(take))
        job.pixels = None
        return Upload(images, self._destination.event())

    def _slots(self, take: list[int] | None) -> torch.Tensor | None:
        return None if take is None else self._destination.copy(torch.tensor(take, dtype=torch.int32, device="cpu"))
