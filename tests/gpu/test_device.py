"""Batches on a device: the values of the CPU's batches, whatever holds them, and nothing else changed."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict, namedtuple

import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from interpreted import check_equal
from torch.utils.data import Dataset
from torchvision.datasets import ImageFolder

import fastload
from fastload.gpu.bytes_to_values import Finish
from fastload.transforms.split_transforms import read
from images import write_folder

NORMALIZE = v1.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TRANSFORM = v1.Compose([v1.RandomResizedCrop(32), v1.RandomHorizontalFlip(), v1.ToTensor(), NORMALIZE])
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=3, images=9)


def epochs(dataset, count=2, **options):
    torch.manual_seed(3)
    loader = fastload.DataLoader(dataset, **{"batch_size": 5, "shuffle": True, **options})
    return [batch for _ in range(count) for batch in loader]


def assert_same_batches(ours, theirs, device):
    assert len(ours) == len(theirs) > 0
    for (images, targets), (expected, expected_targets) in zip(ours, theirs, strict=True):
        assert images.device.type == targets.device.type == device
        assert images.dtype == expected.dtype and images.stride() == expected.stride()
        assert torch.equal(images.cpu(), expected) and torch.equal(targets.cpu(), expected_targets)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"memory_format": torch.channels_last},
        {"dtype": torch.float16},
        {"dtype": torch.bfloat16, "memory_format": torch.channels_last},
        {"dtype": torch.float64},
        {"rng": "index"},
    ],
    ids=str,
)
def test_batches_are_those_of_the_cpu(root, device, workers, options):
    dataset = ImageFolder(root, TRANSFORM)
    ours = epochs(dataset, device=device, num_workers=workers, **options)
    assert_same_batches(ours, epochs(dataset, num_workers=workers, **options), device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "transform",
    [
        v1.Compose([v1.Resize((20, 24)), v1.Grayscale(), v1.ToTensor()]),
        v1.Compose([v1.Resize((20, 24)), v1.PILToTensor()]),
        v2.Compose([v2.RandomResizedCrop(16), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    ],
    ids=["gray", "bytes", "v2"],
)
def test_every_table_of_values(root, device, transform):
    dataset = ImageFolder(root, transform)
    assert_same_batches(epochs(dataset, device=device), epochs(dataset), device)


@pytest.mark.parametrize("device", DEVICES)
def test_half_is_float32_cast(root, device):
    dataset = ImageFolder(root, TRANSFORM)
    for dtype in (torch.float16, torch.bfloat16):
        ours = epochs(dataset, device=device, dtype=dtype)
        for (images, _), (expected, _) in zip(ours, epochs(dataset), strict=True):
            assert torch.equal(images.cpu(), expected.to(dtype))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("policy", ["skip", "replace", "raise"])
@pytest.mark.parametrize("workers", [0, 2])
def test_policies_for_bad_files(root, tmp_path, device, policy, workers):
    dataset = ImageFolder(root, TRANSFORM)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    dataset.samples[4] = (str(broken), 1)
    dataset.samples[20] = (str(broken), 1)

    def run(**options):
        torch.manual_seed(0)
        loader = fastload.DataLoader(dataset, 6, shuffle=True, on_error=policy, num_workers=workers, **options)
        iterator, batches, errors = iter(loader), [], []
        while True:
            try:
                batches.append(next(iterator))
            except fastload.FastloadError as error:
                errors.append((error.index, error.path, error.reason))
            except StopIteration:
                return batches, errors, loader.errors

    ours, theirs = run(device=device), run()
    assert_same_batches(ours[0], theirs[0], device)
    assert ours[1:] == theirs[1:] and len(ours[2]) == 2
    assert bool(ours[1]) == (policy == "raise")


Pair = namedtuple("Pair", "first second")


class Nested(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        number = torch.tensor(float(index))
        return {"a": number, "b": [number + 1, (number + 2, "text")], "c": Pair(number + 3, {"d": number + 4})}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workers", [0, 1])
def test_any_data_set_and_any_nest_of_tensors(device, workers):
    batches = list(fastload.DataLoader(Nested(), batch_size=2, num_workers=workers, device=device))
    plain = list(torch.utils.data.DataLoader(Nested(), batch_size=2))
    assert len(batches) == 3
    for batch, expected in zip(batches, plain, strict=True):
        assert batch["b"][1][1] == expected["b"][1][1] and type(batch["c"]) is Pair
        for one, other in (
            (batch["a"], expected["a"]),
            (batch["b"][0], expected["b"][0]),
            (batch["b"][1][0], expected["b"][1][0]),
            (batch["c"].first, expected["c"].first),
            (batch["c"].second["d"], expected["c"].second["d"]),
        ):
            assert one.device.type == device and torch.equal(one.cpu(), other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_torch_makes_on_the_gpu_is_not_pinned():
    plain = list(torch.utils.data.DataLoader(Nested(), batch_size=2))
    with torch.device("cuda"):
        batches = list(fastload.DataLoader(Nested(), batch_size=2, device="cuda"))
    for batch, expected in zip(batches, plain, strict=True):
        assert batch["a"].is_cuda and torch.equal(batch["a"].cpu(), expected["a"])


def test_containers_keep_their_kind():
    class Own(OrderedDict):
        def __init__(self, *given):
            super().__init__(*given)
            self.note = "kept"

    data = Own([("a", torch.zeros(1)), ("b", (torch.ones(1), range(2), b"raw", None))])
    moved = fastload.gpu.device_copy.map_tensors(data, lambda tensor: tensor + 1)
    assert type(moved) is Own and moved.note == "kept" and moved["a"].item() == 1
    assert moved["b"][0].item() == 2 and moved["b"][1:] == ([0, 1], b"raw", None)
    assert data["a"].item() == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workers", [0, 2])
def test_native_samples_in_workers(root, device, workers):
    dataset = ImageFolder(root, v1.Compose([*TRANSFORM.transforms, torch.neg]))
    ours = epochs(dataset, device=device, num_workers=workers)
    assert_same_batches(ours, epochs(dataset, num_workers=workers), device)


@pytest.mark.parametrize("device", DEVICES)
def test_persistent_workers_break_and_two_iterators(root, device):
    def run(**options):
        torch.manual_seed(0)
        loader = fastload.DataLoader(
            ImageFolder(root, TRANSFORM), 4, num_workers=2, persistent_workers=True, shuffle=True, **options
        )
        seen = [next(iter(loader)) for _ in range(3)]
        seen += list(loader)
        free = fastload.DataLoader(ImageFolder(root, TRANSFORM), 4, num_workers=2, **options)
        first, second = iter(free), iter(free)
        return seen + [next(first), next(second), next(second), next(first)]

    assert_same_batches(run(device=device), run(), device)


@pytest.mark.parametrize("device", DEVICES)
def test_batches_may_be_kept(root, device):
    dataset = ImageFolder(root, TRANSFORM)
    kept = epochs(dataset, count=4, device=device, num_workers=2)
    assert_same_batches(kept, [(a.clone(), b) for a, b in epochs(dataset, count=4, num_workers=2)], device)


def test_loaders_are_copied_and_pickled_without_their_streams(root):
    loader = fastload.DataLoader(ImageFolder(root, TRANSFORM), 4, device=DEVICES[-1])
    list(loader)
    for twin in (pickle.loads(pickle.dumps(loader)), copy.copy(loader), copy.deepcopy(loader)):
        assert twin.device == DEVICES[-1]
        assert len(list(twin)) == 7


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 1.5, "xpu"])
def test_wrong_devices(device):
    with pytest.raises(ValueError, match="device"):
        fastload.DataLoader([1], device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda_device_is_a_clear_error():
    with pytest.raises(ValueError, match="sees no CUDA device"):
        fastload.DataLoader([1], device="cuda")


@pytest.mark.slow
def test_the_kernel_equals_its_definition():
    """In Triton's interpreter, on the CPU; on a GPU the tests above run the compiled one."""
    script = """
        import torch
        from fastload.gpu import triton_kernels
        from fastload.gpu.bytes_to_values import finish_in_torch
        torch.manual_seed(0)
        for channels in (1, 3):
            for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint8):
                table = (torch.randn(channels, 256) * 50).to(dtype)
                pixels = torch.randint(0, 256, (4, 33, 37, channels), dtype=torch.uint8)
                for take in (None, torch.tensor([3, 1, 1], dtype=torch.int32)):
                    for memory_format in (torch.contiguous_format, torch.channels_last):
                        shape = (4 if take is None else 3, channels, 33, 37)
                        made, expected = (torch.zeros(shape, dtype=dtype).to(memory_format=memory_format) for _ in "ab")
                        triton_kernels.finish(pixels, table, made, take)
                        finish_in_torch(pixels, table, expected, take)
                        assert torch.equal(made, expected) and expected.any(), (channels, dtype)
        print("equal")
    """
    check_equal(script)


def test_finish_of_an_empty_batch():
    finish = Finish(read(TRANSFORM).pixelwise, torch.float16, channels_last=False, device="cpu")
    assert finish(torch.empty((0, 8, 9, 3), dtype=torch.uint8)).shape == (0, 3, 8, 9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_dropped_early_is_not_overwritten_while_it_is_read(root):
    """The consumer's stream is far behind when the batch is dropped; later batches must not get its memory before it was read."""
    dataset = ImageFolder(root, TRANSFORM)
    expected = [images.double().sum().item() for images, _ in epochs(dataset, count=8, num_workers=2)]
    torch.manual_seed(3)
    loader = fastload.DataLoader(dataset, 5, shuffle=True, num_workers=2, device="cuda")
    sums = []
    for _ in range(8):
        for images, _ in loader:
            torch.cuda._sleep(20_000_000)
            sums.append(images.double().sum())
            del images
    assert [total.item() for total in sums] == pytest.approx(expected, rel=1e-9, abs=1e-6)
