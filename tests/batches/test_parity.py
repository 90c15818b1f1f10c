"""The promise: the very batches of torch's own DataLoader, bit for bit."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.utils.data
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from PIL import Image
from torch.utils.data import ConcatDataset, Subset, WeightedRandomSampler, random_split
from torchvision.datasets import DatasetFolder, ImageFolder
from torchvision.datasets.folder import default_loader

import fastload
from images import write_folder
from recipes import MEAN, RECIPES, STD, TRAIN, InPython


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"))


def batches(cls, dataset, seed=3, epochs=2, **options):
    """All batches of some epochs, and torch's generator afterwards."""
    torch.manual_seed(seed)
    loader = cls(dataset, **options)
    out = [batch for _ in range(epochs) for batch in loader]
    return out, torch.get_rng_state()


def assert_same(ours, stock):
    (our_batches, our_state), (stock_batches, stock_state) = ours, stock
    assert len(our_batches) == len(stock_batches) > 0
    for mine, theirs in zip(our_batches, stock_batches, strict=True):
        assert type(mine) is type(theirs)
        for a, b in zip(mine, theirs, strict=True):
            assert type(a) is type(b) and a.dtype == b.dtype and a.stride() == b.stride() and a.shape == b.shape
            assert torch.equal(a, b)
    assert torch.equal(our_state, stock_state)


def compare(dataset, *, epochs=2, **options):
    """fastload, natively, and torch over the same data set; returns fastload's explanation."""
    ours = batches(fastload.DataLoader, dataset, epochs=epochs, **options)
    stock = batches(torch.utils.data.DataLoader, dataset, epochs=epochs, **options)
    assert_same(ours, stock)
    explanation = fastload.DataLoader(dataset, **options).explain()
    assert explanation.startswith("native: images are read, decoded and transformed in ")
    return explanation


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("transform", TRAIN)
def test_training_batches(root, transform, num_workers):
    explanation = compare(ImageFolder(root, TRAIN[transform]), batch_size=5, shuffle=True, num_workers=num_workers)
    assert "threads of this process" in explanation


@pytest.mark.parametrize("name", RECIPES)
def test_every_transform(root, name):
    explanation = compare(ImageFolder(root, RECIPES[name]), batch_size=5, shuffle=True, num_workers=0)
    assert "threads of this process" in explanation


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("name", ["random-crop", "random-crop-v2", "flips", "random-gray", "default-sizes"])
def test_random_transforms_with_workers(root, name, num_workers):
    compare(ImageFolder(root, RECIPES[name]), batch_size=4, shuffle=True, num_workers=num_workers)


def options_of_a_loader():
    yield {"batch_size": 1}
    yield {"batch_size": 7, "drop_last": True, "num_workers": 2}
    yield {"batch_size": 100, "num_workers": 2}
    yield {"batch_size": 4, "num_workers": 2, "prefetch_factor": 5}
    yield {"batch_size": 4, "num_workers": 2, "persistent_workers": True, "shuffle": True}
    yield {"batch_size": 4, "num_workers": 1, "timeout": 60, "threads": 3}
    yield {"batch_sampler": [[0, 5, 3], [7], [1, 1, 1, -1]], "num_workers": 2}
    yield {"sampler": [5, 4, 3, 3, 3], "batch_size": 2}


@pytest.mark.parametrize("options", list(options_of_a_loader()), ids=str)
def test_loader_options(root, options):
    dataset = ImageFolder(root, TRAIN["v1"])
    own = {name: options.pop(name) for name in ["threads"] if name in options}
    ours = batches(lambda *a, **k: fastload.DataLoader(*a, **k, **own), dataset, **options)
    assert_same(ours, batches(torch.utils.data.DataLoader, dataset, **options))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_explicit_generator(root, num_workers):
    results = []
    for cls in (fastload.DataLoader, torch.utils.data.DataLoader):
        generator = torch.Generator().manual_seed(11)
        dataset = ImageFolder(root, TRAIN["v1"])
        results.append(batches(cls, dataset, batch_size=5, shuffle=True, num_workers=num_workers, generator=generator))
        results[-1] += (generator.get_state(),)
    assert_same(results[0][:2], results[1][:2])
    assert torch.equal(results[0][2], results[1][2])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_samplers(root, num_workers):
    dataset = ImageFolder(root, TRAIN["v1"])
    sampler = WeightedRandomSampler(torch.arange(len(dataset)).float() + 1, 17)
    compare(dataset, batch_size=5, sampler=sampler, num_workers=num_workers)


def test_subsets_and_concatenations(root, tmp_path):
    write_folder(tmp_path / "other", classes=2, images=5)
    transform = TRAIN["v1"]
    first, second = ImageFolder(root, transform), ImageFolder(tmp_path / "other", transform)
    part, rest = random_split(first, [0.4, 0.6], generator=torch.Generator().manual_seed(1))
    for dataset in (part, ConcatDataset([second, rest]), Subset(ConcatDataset([first, second]), [30, 2, -1, 5])):
        compare(dataset, batch_size=3, shuffle=True, num_workers=2)


def test_dataset_folder_and_own_data_sets(root):
    transform = TRAIN["v2"]
    compare(DatasetFolder(str(root), default_loader, extensions=(".jpg",), transform=transform), batch_size=3)
    compare(fastload.ImageFolder(root, transform), batch_size=3, shuffle=True, num_workers=2)
    folder = ImageFolder(root)
    paths, targets = zip(*folder.samples, strict=True)
    ours = batches(fastload.DataLoader, fastload.ImageFiles(paths, targets, transform), batch_size=4, shuffle=True)
    folder.transform = transform
    assert_same(ours, batches(torch.utils.data.DataLoader, folder, batch_size=4, shuffle=True))


def test_files_without_targets(root):
    paths = [path for path, _ in ImageFolder(root).samples]
    dataset = fastload.ImageFiles(paths, transform=TRAIN["v1"])
    torch.manual_seed(0)
    ours = list(fastload.DataLoader(dataset, batch_size=6, num_workers=2))
    torch.manual_seed(0)
    stock = list(torch.utils.data.DataLoader(dataset, batch_size=6, num_workers=2))
    assert len(ours) == len(stock) == 4
    assert all(torch.equal(a, b) for a, b in zip(ours, stock, strict=True))


def test_filtered_samples_are_read_live(root):
    dataset = ImageFolder(root, TRAIN["v1"])
    dataset.samples = [(path, target * 10) for path, target in dataset.samples if not path.endswith("1.jpg")]
    compare(dataset, batch_size=5, shuffle=True, num_workers=2)
    dataset.samples = [(path, float(target)) for path, target in dataset.samples]
    compare(dataset, batch_size=5)


def other_formats(folder):
    folder.mkdir()
    image = Image.open(next(folder.parent.glob("class0/*.jpg"))).convert("RGB")
    image.save(folder / "a.png")
    image.convert("P").save(folder / "b.png")
    image.convert("CMYK").save(folder / "c.jpg")
    image.convert("RGBA").save(folder / "d.webp")
    image.save(folder / "e.bmp")
    (folder / "f.jpg").write_bytes((folder / "a.png").read_bytes())
    image.convert("1").save(folder / "g.tif")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_other_formats_among_the_jpegs(tmp_path, num_workers):
    write_folder(tmp_path / "root")
    other_formats(tmp_path / "root" / "other")
    dataset = ImageFolder(tmp_path / "root", TRAIN["v1"])
    compare(dataset, batch_size=5, shuffle=True, num_workers=num_workers)


def erase_corner(tensor):
    tensor[:, : torch.randint(1, 8, (1,)).item()] = torch.rand(1).item()
    return tensor


def tails():
    yield (
        "affine",
        v1.Compose(
            [
                v1.RandomResizedCrop(32),
                v1.RandomAffine(20),
                v1.ColorJitter(0.4, 0.4, 0.4, 0.1),
                v1.ToTensor(),
                InPython(),
            ]
        ),
    )
    yield (
        "augment",
        v1.Compose(
            [v1.RandomResizedCrop(32), v1.RandAugment(), v1.PILToTensor(), v1.RandomHorizontalFlip(), InPython()]
        ),
    )
    yield "erasing", v1.Compose([*TRAIN["v1"].transforms, InPython(), v1.RandomErasing(0.9)])
    yield "erasing-v2", v2.Compose([*TRAIN["v2"].transforms, InPython(), v2.RandomErasing(0.9)])
    yield "lambda", v1.Compose([v1.RandomResizedCrop(32), v1.ToTensor(), erase_corner])
    yield (
        "tensors",
        v2.Compose([v2.Grayscale(3), v2.ToImage(), v2.RandomResizedCrop(32), v2.ToDtype(torch.float32, scale=True)]),
    )
    yield (
        "one-size",
        v1.Compose([v1.Grayscale(1), v1.Resize((40, 40)), v1.RandomRotation(20), v1.ToTensor(), InPython()]),
    )


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("name", "transform"), list(tails()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_python_tail(root, name, transform, num_workers):
    explanation = compare(ImageFolder(root, transform), batch_size=5, shuffle=True, num_workers=num_workers)
    who = "torch's workers" if num_workers else "the main process (num_workers=0)"
    assert f"transformed in {who}, because " in explanation and "Python: " in explanation


class LooksAtTheImage:
    """A tail that sees everything that a PIL image or a tensor is."""

    def __call__(self, image):
        if isinstance(image, Image.Image):
            return f"{type(image)} {image.mode} {image.size} {sorted(map(str, image.info.items()))} {hash(image.tobytes())}"
        return f"{type(image)} {image.dtype} {image.shape} {image.stride()} {image.is_contiguous()} {image.sum()}"


@pytest.mark.parametrize(
    "head",
    [[], [v1.PILToTensor()], [v2.ToImage()], [v1.ToTensor()], [v2.ToImage(), v2.ToDtype(torch.float32)]],
    ids=str,
)
def test_tail_gets_the_same_object(root, head):
    transform = v1.Compose([v1.RandomResizedCrop(32), *head, LooksAtTheImage()])
    loaders = [
        cls(ImageFolder(root, transform), batch_size=5) for cls in (fastload.DataLoader, torch.utils.data.DataLoader)
    ]
    assert loaders[0].explain().startswith("native: ")
    texts = []
    for loader in loaders:
        torch.manual_seed(5)
        texts.append([text for images, _ in loader for text in images])
    assert texts[0] == texts[1]


def scaled_target(target):
    return target * 2 + int(torch.randint(0, 5, (1,)))


def first_three(samples):
    return torch.stack([image for image, _ in samples])[:, :3], sum(target for _, target in samples)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_users_code_runs_where_torch_runs_it(root, num_workers):
    compare(ImageFolder(root, TRAIN["v1"], scaled_target), batch_size=5, num_workers=num_workers)
    torch.manual_seed(1)
    dataset = ImageFolder(root, TRAIN["v1"])
    ours = list(fastload.DataLoader(dataset, 5, num_workers=num_workers, collate_fn=first_three))
    torch.manual_seed(1)
    stock = list(torch.utils.data.DataLoader(dataset, 5, num_workers=num_workers, collate_fn=first_three))
    assert all(torch.equal(a, b) and x == y for (a, x), (b, y) in zip(ours, stock, strict=True))
    torch.manual_seed(1)
    ours = list(itertools.islice(fastload.DataLoader(dataset, batch_size=None, num_workers=num_workers), 7))
    torch.manual_seed(1)
    stock = list(itertools.islice(torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=num_workers), 7))
    assert all(torch.equal(a, b) and x == y for (a, x), (b, y) in zip(ours, stock, strict=True))


def seeds_itself(worker_id):
    torch.manual_seed(worker_id + 100)


def test_worker_init_fn_counts(root):
    explanation = compare(ImageFolder(root, TRAIN["v1"]), batch_size=5, num_workers=2, worker_init_fn=seeds_itself)
    assert "worker_init_fn" in explanation


def test_concatenation_with_different_transforms(root):
    dataset = ConcatDataset([ImageFolder(root, TRAIN["v1"]), ImageFolder(root, v1.Compose([*TRAIN["v1"].transforms]))])
    compare(dataset, batch_size=5, shuffle=True, num_workers=2)


def test_real_photos(photo_folder):
    transform = v1.Compose(
        [v1.RandomResizedCrop(224), v1.RandomHorizontalFlip(), v1.ToTensor(), v1.Normalize(MEAN, STD)]
    )
    photos = fastload.ImageFiles(sorted(photo_folder.glob("*.JPEG"))[::3], transform=transform)
    compare(photos, batch_size=16, shuffle=True, num_workers=2, epochs=1)


def test_dtype_and_memory_format(root):
    dataset = ImageFolder(root, TRAIN["v1"])
    torch.manual_seed(0)
    stock = list(torch.utils.data.DataLoader(dataset, 5, num_workers=1))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        torch.manual_seed(0)
        loader = fastload.DataLoader(dataset, 5, num_workers=1, dtype=dtype, memory_format=torch.channels_last)
        for (images, _), (expected, _) in zip(loader, stock, strict=True):
            assert images.dtype == dtype and images.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(images, expected.to(dtype))
