"""One arm of the GPU benchmark in a process of its own: ``python -m benchmarks.gpu.child ARM OPTIONS``.

Answers each line on standard input (``check``, ``turn SECONDS``, ``train MODEL``) with a line of JSON. Each arm gives batches as a
training wants them: float32 [batch, 3, 224, 224] normalised, targets int64, both on the GPU.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image, decode_jpeg

MEAN, STD, SIDE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224
# Batches before a training is timed: what a loader has read ahead is used up, cudnn has chosen its algorithms.
WARM_BATCHES = 100
# Parity of pixels that a GPU decoded, in levels of 255: see docs/benchmarks.md.
MEAN_DIFFERENCE, LARGEST_DIFFERENCE, WITHIN = 0.01, 2, 0.999
CHECKED_BATCHES = 8


class Arm:
    """What all share. ``batches()`` is endless."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.data, self.batch_size, self.workers = given["data"], given["batch_size"], given["workers"]
        self.mean = torch.tensor(MEAN, device="cuda").view(1, 3, 1, 1) * 255
        self.std = torch.tensor(STD, device="cuda").view(1, 3, 1, 1) * 255

    def batches(self) -> Iterator[Any]:
        while True:
            yield from self.epoch()

    def epoch(self) -> Iterator[Any]:
        raise NotImplementedError

    def folder(self, *given: Any, **options: Any) -> torch.utils.data.Dataset[Any]:
        """The files, in an epoch as often as asked for."""
        one = ImageFolder(self.data, *given, **options)
        return one if self.given["repeats"] == 1 else torch.utils.data.ConcatDataset([one] * self.given["repeats"])

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().sub_(self.mean).div_(self.std)

    def check(self) -> dict[str, Any]:
        images, targets = next(iter(self.epoch()))
        total = images.double().mean().item()
        right = images.is_cuda and targets.is_cuda and images.shape[1:] == (3, SIDE, SIDE) and -3 < total < 3
        return {"ok": bool(right and images.dtype == torch.float32 and targets.dtype == torch.int64), "mean": total}

    def prepare_training(self) -> None:
        """Before one: it wants channels_last."""

    def stats(self) -> dict[str, Any]:
        return {}


class stock_pil(Arm):
    """torch's DataLoader and PIL, as the examples have it."""

    transform = v1.Compose(
        [v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)]
    )

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.loader = torch.utils.data.DataLoader(
            self.folder(self.transform),
            self.batch_size,
            shuffle=True,
            num_workers=self.workers,
            pin_memory=True,
            persistent_workers=True,
            prefetch_factor=4,
        )

    def epoch(self) -> Iterator[Any]:
        for images, targets in self.loader:
            yield images.cuda(non_blocking=True), targets.cuda(non_blocking=True)


def load_tensor(path: str) -> torch.Tensor:
    return decode_image(path, ImageReadMode.RGB)


class stock_v2(stock_pil):
    """torch's DataLoader at its best: uint8 tensors through the workers, normalised on the GPU."""

    def __init__(self, given: dict[str, Any]) -> None:
        Arm.__init__(self, given)
        transform = v2.Compose([v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()])
        self.loader = torch.utils.data.DataLoader(
            self.folder(transform, loader=load_tensor),
            self.batch_size,
            shuffle=True,
            num_workers=self.workers,
            pin_memory=True,
            persistent_workers=True,
            prefetch_factor=4,
        )

    def epoch(self) -> Iterator[Any]:
        for images, targets in super().epoch():
            yield self.normalised(images), targets


def read_bytes(path: str) -> torch.Tensor:
    return torchvision.io.read_file(path)


def as_one(samples: list[Any]) -> Any:
    """One tensor for all files: each tensor that a worker sends takes a file descriptor."""
    data, targets = zip(*samples, strict=True)
    return torch.cat(data), [len(one) for one in data], torch.tensor(targets)


class torchvision_cuda(Arm):
    """torchvision's decoder on the GPU, then crops and resizes there, image by image, as it has no ragged batches."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.loader = torch.utils.data.DataLoader(
            self.folder(loader=read_bytes),
            self.batch_size,
            shuffle=True,
            num_workers=4,
            collate_fn=as_one,
            persistent_workers=True,
        )
        self.transform = v2.Compose([v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()])

    def epoch(self) -> Iterator[Any]:
        for data, lengths, targets in self.loader:
            images = decode_jpeg(list(data.split(lengths)), ImageReadMode.RGB, device="cuda")
            yield self.normalised(torch.stack([self.transform(image) for image in images])), targets.cuda()


class dali(Arm):
    """DALI by hand: its reader, decode and crop in one, everything on the GPU."""

    fancy = False

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        from nvidia.dali import fn, pipeline_def, types
        from nvidia.dali.plugin.base_iterator import LastBatchPolicy
        from nvidia.dali.plugin.pytorch import DALIGenericIterator

        load = 0.65 if given["load"] is None else given["load"]

        @pipeline_def(batch_size=self.batch_size, num_threads=self.workers, device_id=0, prefetch_queue_depth=3, seed=1)
        def pipeline() -> Any:
            encoded, targets = fn.readers.file(
                file_root=self.data, random_shuffle=True, name="reader", read_ahead=True, prefetch_queue_depth=2
            )
            common = {"device": "mixed", "hw_decoder_load": load, "preallocate_width_hint": 1000}
            common["preallocate_height_hint"] = 1000
            if self.fancy:  # full decode: as exact as its hardware is
                images = fn.decoders.image(encoded, jpeg_fancy_upsampling=True, **common)
                start, shape = fn.random_crop_generator(fn.peek_image_shape(encoded)[:2], random_area=[0.08, 1.0])
                images = fn.slice(images, start=start, shape=shape, axis_names="HW")
            else:
                images = fn.decoders.image_random_crop(encoded, random_area=[0.08, 1.0], **common)
            images = fn.resize(images, size=[SIDE, SIDE], interp_type=types.INTERP_LINEAR, antialias=True)
            images = fn.crop_mirror_normalize(
                images,
                mirror=fn.random.coin_flip(),
                dtype=types.FLOAT,
                output_layout="CHW",
                mean=[255 * m for m in MEAN],
                std=[255 * s for s in STD],
            )
            return images, targets.gpu()

        self.iterator = DALIGenericIterator(
            pipeline(),
            ["images", "targets"],
            reader_name="reader",
            last_batch_policy=LastBatchPolicy.PARTIAL,
            auto_reset=True,
        )

    def batches(self) -> Iterator[Any]:
        while True:  # an epoch that was left is not begun anew
            for (batch,) in self.iterator:
                yield batch["images"], batch["targets"].squeeze(1).long()

    def epoch(self) -> Iterator[Any]:
        return self.batches()


class dali_fancy(dali):
    """The same with a full decode and smooth chroma, as fastload's GPU decode has it."""

    fancy = True


class fastload_cpu(stock_pil):
    """The same script with another import and a device."""

    decode = "cpu"

    def __init__(self, given: dict[str, Any]) -> None:
        Arm.__init__(self, given)
        self.loader: Any = self.make(self.transform, self.decode)

    def prepare_training(self) -> None:
        self.loader = self.make(self.transform, self.decode, memory_format=torch.channels_last)

    def make(self, transform: Any, decode: Any, device: str | None = "cuda", **options: Any) -> Any:
        import fastload

        return fastload.DataLoader(
            self.folder(transform),
            self.batch_size,
            shuffle=True,
            num_workers=self.workers,
            device=device,
            decode=decode,
            generator=torch.Generator().manual_seed(5),
            **options,
        )

    def epoch(self) -> Iterator[Any]:
        return iter(self.loader)

    def stats(self) -> dict[str, Any]:
        return {"decoders": self.loader.stats()["decoders"], "explain": self.loader.explain().splitlines()[-1]}

    def check(self) -> dict[str, Any]:
        if self.decode == "cpu":  # the very batches of torch's loader on the CPU
            plain = torch.utils.data.DataLoader(
                self.folder(self.transform),
                self.batch_size,
                shuffle=True,
                num_workers=self.workers,
                generator=torch.Generator().manual_seed(5),
            )
            pairs = zip(itertools.islice(self.make(self.transform, "cpu"), CHECKED_BATCHES), plain, strict=False)
            return {"ok": all(torch.equal(a.cpu(), c) and torch.equal(b.cpu(), d) for (a, b), (c, d) in pairs)}
        pixels = v1.Compose([v1.RandomResizedCrop(SIDE), v1.RandomHorizontalFlip(), v1.PILToTensor()])
        ours, exact = self.make(pixels, self.decode), self.make(pixels, "cpu")
        total = count = beyond = worst = 0.0
        listed = []
        for (a, b), (c, d) in itertools.islice(zip(ours, exact, strict=True), self.given["checked_batches"]):
            if not torch.equal(b, d):
                return {"ok": False, "reason": "other targets than the CPU's"}
            difference = (a.int() - c.int()).abs()
            largest = difference.flatten(1).amax(1)
            total += difference.double().mean(dim=(1, 2, 3)).sum().item()
            count += len(a)
            beyond += (largest > LARGEST_DIFFERENCE).sum().item()
            listed += [int(level) for level in largest[largest > LARGEST_DIFFERENCE]]
            worst = max(worst, largest.max().item())
        parity = total / count < MEAN_DIFFERENCE and 1 - beyond / count >= WITHIN
        figures = {
            "mean_difference": total / count,
            "largest": worst,
            "beyond_two": beyond,
            "their_largest": listed[:50],
            "images": count,
        }
        return {"ok": True, "parity": parity, **figures, "decoders": ours.stats()["decoders"]}


class fastload_gpu(fastload_cpu):
    decode = "gpu"


class fastload_dali(fastload_cpu):
    decode = "dali"


class fastload_hybrid(fastload_cpu):
    decode = "hybrid"


class fastload_auto(fastload_cpu):
    decode = "auto"


class synthetic(Arm):
    """One batch that is there already."""

    def epoch(self) -> Iterator[Any]:
        images = torch.randn(self.batch_size, 3, SIDE, SIDE, device="cuda").contiguous(
            memory_format=torch.channels_last
        )
        targets = torch.randint(0, 100, (self.batch_size,), device="cuda")
        while True:
            yield images, targets


def nvjpeg() -> list[str]:
    """Which of the machine's libraries were loaded: their speed and rounding differ by release."""
    with open("/proc/self/maps") as maps:
        return sorted({line.split()[-1] for line in maps if "libnvjpeg." in line})


def cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def tree_seconds() -> float:
    """Of this process and its children that live, as far as they can be seen."""
    total, tick = cpu_seconds(), os.sysconf("SC_CLK_TCK")
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(os.path.join(entry.path, "stat")) as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                total += (int(fields[11]) + int(fields[12])) / tick
    return total


def take_turn(arm: Arm, least_seconds: float, least_images: int) -> dict[str, Any]:
    """Times so many images at least; batches are dropped as they come. What the GPU still does when a batch has been given is the
    part of copies and kernels that is not hidden."""
    images, not_hidden = 0, 0.0
    cpu, began = tree_seconds(), time.perf_counter()
    stream = torch.cuda.current_stream()
    for batch, _ in arm.batches():
        given = time.perf_counter()
        stream.synchronize()
        not_hidden += time.perf_counter() - given
        images += len(batch)
        if images >= least_images and time.perf_counter() - began >= least_seconds:
            break
    seconds = time.perf_counter() - began
    return {
        "images_per_second": images / seconds,
        "cpu_s_per_1000": 1000 * (tree_seconds() - cpu) / images,
        "copy_share": not_hidden / seconds,
        **arm.stats(),
    }


class Utilisation:
    """NVML's figure, sampled while a ``with`` block runs."""

    def __enter__(self) -> Utilisation:
        self.samples: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
            while not self._done.wait(0.05):
                self.samples.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except Exception as error:
            print(f"no NVML: {error}", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def mean(self) -> float | None:
        return sum(self.samples) / len(self.samples) if self.samples else None


def train(arm: Arm, name: str, wanted: int) -> dict[str, Any]:
    """Images a second of forward, backward and step."""
    torch.backends.cudnn.benchmark = True
    model = getattr(torchvision.models, name)(num_classes=1000).cuda().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = warm = 0
    began = time.perf_counter()
    arm.prepare_training()
    with Utilisation() as utilisation:
        for batch, targets in arm.batches():
            if len(batch) != arm.batch_size:
                continue  # cudnn would look for algorithms again
            batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(model(batch), targets)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            warm += 1
            if warm == WARM_BATCHES:
                torch.cuda.synchronize()
                began, images = time.perf_counter(), 0
                utilisation.samples.clear()
                continue
            images += len(batch)
            if warm > WARM_BATCHES and images >= wanted:
                break
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return {"images_per_second": images / seconds, "gpu_utilisation": utilisation.mean, **arm.stats()}


def main() -> None:
    given = json.loads(sys.argv[2])
    try:
        arm = globals()[sys.argv[1]](given)
        images = sum(1 for _ in ImageFolder(given["data"]).samples)
    except Exception as error:
        print(json.dumps({"unavailable": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for text in sys.stdin:
        command, *rest = text.split()
        try:
            if command == "check":
                answer = {**arm.check(), "nvjpeg": nvjpeg()}
            elif command == "turn":
                answer = take_turn(arm, float(rest[0]), images)
            else:
                answer = train(arm, rest[0], given["train_images"])
        except Exception as error:
            if given["verbose"]:
                raise
            answer = {"unavailable": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # no waiting for workers of a loader that was left


if __name__ == "__main__":
    main()
