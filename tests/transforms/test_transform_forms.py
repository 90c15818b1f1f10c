"""Every public transform of torchvision: native in each form of its arguments, with stock's batches, or named with a reason."""

from __future__ import annotations

import inspect
import random
import re

import numpy as np
import PIL.Image
import pytest
import torch
import torch.utils.data
import torchvision
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder
from torchvision.transforms import _presets as presets

import fastload
from fastload.transforms.not_native import REASONS
from fastload.transforms.split_transforms import read
from images import write_folder

# torchvision warns of antialias=False once a process.
pytestmark = pytest.mark.filterwarnings("ignore:Anti-alias option is always applied:UserWarning")

VERSION = tuple(int(part) for part in torchvision.__version__.split(".")[:2])
TAKES_TEXT = isinstance(inspect.signature(v2.Resize).parameters["interpolation"].default, str)

PROBABILITIES = [
    "()",
    "(0.3)",
    "(p=0)",
    "(p=1)",
    "(p=1.0)",
    "(p=True)",
    "(p=np.float32(0.4))",
    "(p=np.float64(0.4))",
    "(p=torch.tensor(0.4))",
    "(p=torch.tensor([0.4]))",
    "(p=torch.tensor(1))",
    "(p=torch.tensor(0.4, dtype=torch.float64))",
]
PROBABILITIES_IN_DOUBLE = [form for form in PROBABILITIES if "[" not in form]
SIZES = ["(16)", "([16])", "((16,))", "((12, 50))", "([50, 12])", "(16.0)", "((np.int64(12), 16))"]
INTERPOLATIONS = [
    *(f"InterpolationMode.{mode.name}" for mode in v1.InterpolationMode),
    *(str(number) for number in range(6)),
    "PIL.Image.Resampling.BICUBIC",
    "PIL.Image.LANCZOS",
]
TEXTS = [repr(mode.value) for mode in v1.InterpolationMode]
PADDINGS = ["0", "2", "[2]", "(2,)", "(1, 2)", "[1, 2]", "(1, 2, 3, 4)", "[4, 3, 2, 1]"]
PADS = [
    *(f"padding={padding}" for padding in PADDINGS),
    *(
        f"padding=5, fill={fill}"
        for fill in ("7", "7.9", "True", "(1, 2, 3)", "[3, 2, 1]", "(9.5, 0.0, 255.0)", "(5,)", "[5]")
    ),
    *(f"padding=(1, 5), fill=8, padding_mode={mode!r}" for mode in ("constant", "edge", "reflect", "symmetric")),
]
WARPS = ["InterpolationMode.NEAREST", "InterpolationMode.BILINEAR", "InterpolationMode.BICUBIC", "2"]
FILLS = ["7", "300", "-4", "9.9", "(1, 2, 3)", "[255, 0, -1]", "(8,)"]
FILLS_OF_V2 = ["None", "{PIL.Image.Image: 7, 'others': 3}", "{'others': (1, 2, 3)}", "{tv_tensors.Image: 5}"]
ANTIALIAS = ["True", "False", "None", "'warn'"]
FLOATS = ["torch.float32", "torch.float64", "torch.float16", "torch.bfloat16"]
MOMENTS = [
    "((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))",
    "([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])",
    "([0.5], [0.25])",
    "((0, 0, 0), (1, 1, 1))",
    "((0.5, 0.4, 0.3), (0.2, 0.25, 0.3), inplace=True)",
    "(np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3]))",
    "(torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3]))",
]

# The documented forms of each transform that is native, for transforms and transforms.v2.
NATIVE = {
    "Resize": [
        *(size for size in SIZES if size != "(16.0)"),
        "(16, max_size=20)",
        "([16], max_size=20)",
        "((16,), max_size=300)",
        "(16, 2, 20)",
        *(f"(16, antialias={antialias})" for antialias in ANTIALIAS),
        *(f"((12, 16), interpolation={interpolation})" for interpolation in INTERPOLATIONS),
    ],
    "RandomResizedCrop": [
        *SIZES,
        "(16, scale=(0.2, 1))",
        "(16, scale=[1, 1], ratio=[1, 1])",
        "(16, (0.01, 0.1), (0.5, 2))",
        "(16, scale=(np.float64(0.2), 1.0), ratio=(np.float64(0.4), 3.0))",
        *(f"(16, antialias={antialias})" for antialias in ANTIALIAS),
        *(f"(16, interpolation={interpolation})" for interpolation in INTERPOLATIONS),
    ],
    "CenterCrop": SIZES,
    "RandomCrop": [
        *(size for size in SIZES if "50" not in size),
        "(16, None)",
        "((70, 16), pad_if_needed=True, fill=(1, 2, 3))",
        *(f"(16, {pads})" for pads in PADS),
    ],
    "Pad": [f"({pads})" for pads in PADS] + [f"(2, fill={fill})" for fill in FILLS],
    "RandomRotation": [
        *("(10)", "((5, 80.5), expand=True)", "([-90, -90], center=(3, 4.5))", "(180, expand=1, fill=None)"),
        *(f"(45, interpolation={mode})" for mode in WARPS),
        *(f"((-20, 300), fill={fill})" for fill in FILLS),
    ],
    "RandomAffine": [
        *(
            "(0)",
            "(10, (0.2, 1))",
            "((-5, 5), translate=[0, 0.5], scale=(0.5, 0.5), shear=9)",
            "(0, shear=(1, 2, -80, 90))",
        ),
        *(f"(10, scale=(0.1, 6), shear=[-20, 5.5], interpolation={mode}, center=[0, 9])" for mode in WARPS),
        *(f"(30, (0.1, 0.1), fill={fill})" for fill in FILLS),
    ],
    "RandomPerspective": [
        *("()", "(0.1, 1)", "(1, p=0.8)", "(0, 1)"),
        *(f"(p=1, interpolation={mode})" for mode in WARPS),
        *(f"(p=1, fill={fill})" for fill in FILLS),
    ],
    "RandomHorizontalFlip": PROBABILITIES,
    "RandomVerticalFlip": PROBABILITIES,
    "RandomGrayscale": PROBABILITIES,
    "Grayscale": ["()", "(1)", "(3)", "(num_output_channels=3)"],
    "Compose": [
        "([Resize((12, 16)), RandomHorizontalFlip()])",
        "((Resize((12, 16)),))",
        "([Compose([CenterCrop(8)])])",
    ],
    "GaussianBlur": ["(3)", "((3, 7))", "([5, 1], sigma=1)", "(5, (0.1, 2.0))", "(1)", "(7, sigma=[0.7, 9])"],
    "ColorJitter": [
        "()",
        "(0.4, 0.4, 0.4, 0.1)",
        "(0.4)",
        "(contrast=2)",
        "(saturation=(0.2, 5.0))",
        "(hue=0.5)",
        "(hue=(-0.5, -0.1))",
        "((1, 3), [0.0, 0.5], (7, 7), (0.2, 0.2))",
    ],
    **dict.fromkeys(("RandomInvert", "RandomAutocontrast", "RandomEqualize"), PROBABILITIES_IN_DOUBLE),
    "RandomPosterize": ["(1)", "(4)", "(bits=8, p=0.8)", "(3, p=1)"],
    "RandomSolarize": ["(0)", "(128)", "(100.5)", "(256, p=1)", "(threshold=-3, p=0.9)", "(float('inf'))"],
    "RandomAdjustSharpness": ["(0)", "(0.3)", "(2, 0.8)", "(sharpness_factor=17.5)", "(1)"],
    "RandomApply": [
        "([RandomInvert(), ColorJitter(0.4)], 0.7)",
        "((RandomHorizontalFlip(), RandomSolarize(99)), p=0)",
        "(torch.nn.ModuleList([Pad(2), RandomAutocontrast()]), p=1)",
        "([RandomApply([Compose([Grayscale(3), RandomResizedCrop(9)]), Pad(1)]), RandomVerticalFlip()], p=torch.tensor(0.6))",
    ],
    "RandomOrder": [
        "([RandomInvert(), RandomAdjustSharpness(3), RandomHorizontalFlip()])",
        "((RandomCrop((9, 8)), Compose([Resize((12, 11)), RandomApply([RandomOrder([Pad(1), ColorJitter(hue=0.2)])])])))",
        "([CenterCrop(5)])",
    ],
    "RandomChoice": [
        "([RandomInvert(), RandomAdjustSharpness(3), RandomHorizontalFlip()])",
        "((RandomCrop((9, 8)), RandomChoice([Pad(1), ColorJitter(hue=0.2)], [0.1, 7])), p=(3, 1))",
        "([Pad(1), Grayscale(3), CenterCrop(5)], p=[0, 0.0, 1])",
    ],
    "AutoAugment": ["()", *(f"(AutoAugmentPolicy.{name})" for name in ("CIFAR10", "SVHN")), "(fill=(1, 2, 3))"],
    "RandAugment": ["()", "(1, 0, 5)", "(3, -1, fill=7)", "(num_ops=0)", "(interpolation=InterpolationMode.BICUBIC)"],
    "TrivialAugmentWide": ["()", "(5)", "(fill=[9])", "(interpolation=InterpolationMode.BILINEAR, fill=(0.5, 9, 7.9))"],
    "RandomErasing": [
        *(
            "()",
            "(1)",
            "(p=1, value='random')",
            "(1, (0.02, 0.1), (1, 1), (0.1, 2, 3))",
            "(1, value=[7], inplace=True)",
        ),
        "(1, scale=[0.3, 1.0], ratio=[0.5, 2], value=True)",
    ],
    "ToTensor": ["()"],
    "PILToTensor": ["()"],
    "ConvertImageDtype": [*(f"({dtype})" for dtype in [*FLOATS, "torch.uint8"])],
    "Normalize": MOMENTS,
}
# Those of transforms.v2 alone.
NATIVE_IN_V2 = {
    "Resize": [
        "(None, max_size=20)",
        *(f"((12, 16), interpolation={text})" for text in TEXTS if TAKES_TEXT),
    ],
    "RandomResizedCrop": [f"(16, interpolation={text})" for text in TEXTS if TAKES_TEXT],
    "RandomCrop": [f"(16, padding=5, fill={fill})" for fill in FILLS_OF_V2],
    "Pad": [f"(5, fill={fill})" for fill in FILLS_OF_V2],
    "RandomZoomOut": ["()", "({PIL.Image.Image: 7, 'others': 3}, (1, 2), 1)", "((1, 2, 3), [1.5, 1.5], p=0.9)"],
    "ScaleJitter": ["((16, 16))", "([20, 9], (0.9, 1.1), antialias=False)", "((30.5, 40), scale_range=(1, 1))"],
    "RandomShortestSize": ["(10)", "([10, 20], 25)", "((9,), interpolation=InterpolationMode.BICUBIC)"],
    "RandomResize": ["(10, 20)", "(5, 6, interpolation=2)"],
    "ConvertImageDtype": ["()"],
    "ToImage": ["()"],
    "ToPureTensor": ["()"],
    "ToDtype": [
        *(f"({dtype})" for dtype in [*FLOATS, "torch.uint8"]),
        *(f"({dtype}, scale=True)" for dtype in FLOATS),
        "(torch.float32, False)",
        "({tv_tensors.Image: torch.float32, 'others': None}, scale=True)",
        "({tv_tensors.Mask: torch.int64, 'others': torch.float16})",
        "({tv_tensors.Image: None})",
    ],
    "RandomPhotometricDistort": ["()", "(p=1)", "(hue=(-0.5, 0.5), brightness=(0, 2), p=0.7)", "((-1, 0.5))"],
    "RandomChannelPermutation": ["()"],
    "RGB": ["()"],
    "Identity": ["()"],
    "ClampBoundingBoxes": ["()"],
    "ClampKeyPoints": ["()"],
    "ConvertBoundingBoxFormat": ["('XYXY')"],
    "SetClampingMode": ["('soft')"],
}
# What comes before a conversion; all others get images.
BEFORE = {
    "Normalize": "ToTensor()",
    "ConvertImageDtype": "PILToTensor()",
    "ToDtype": "ToImage()",
    "ToPureTensor": "ToImage()",
    "RandomErasing": "ToTensor()",
}
CONVERSIONS = ("ToTensor", "PILToTensor", "ToImage", *BEFORE)  # and what works on tensors

NO_TRANSFORMS = {"AutoAugmentPolicy", "InterpolationMode"}

# Forms that torchvision takes and the engine does not; the reason that explain() gives.
NAMED = {
    "RandomHorizontalFlip(p=torch.tensor([0.5], dtype=torch.float64))": "p=tensor",
    "RandomCrop(16, padding=2, fill=2**40)": "fill=1099511627776",
    "Pad((5, -2, -1, 0), 9)": "padding=",  # of a small image nothing may be left
    "RandomPosterize(0, p=1)": "bits=0",
    "RandomPosterize(9, p=1)": "bits=9",
    "RandomSolarize(float('nan'))": "threshold=nan",
    "GaussianBlur(129)": "kernel_size=",
    "GaussianBlur(3, sigma=(0.1, 2000))": "sigma=",
    "RandomAdjustSharpness(True)": "sharpness_factor=True",
    "RandomChoice([CenterCrop(8)], p=[float('nan')])": "p=",
    "RandomChoice([CenterCrop(8), Lambda(abs)], p=[0, 1])": "Lambda in it: it is a function that is not known",
    "RandomCrop(16, padding=2, fill=(0, 0, -(2**31)))": "fill=",
    "RandomRotation(10, interpolation=InterpolationMode.LANCZOS)": "interpolation=",
    "RandomRotation(10, fill=(1, 2))": "fill=(1, 2)",
    "RandomRotation((20, 10))": "degrees=[20.0, 10.0]",
    "RandomAffine(10, center=(0, 1e12))": "center=(0, 1000000000000.0)",
    "RandomPerspective(distortion_scale=torch.tensor(0.5))": "distortion_scale=",
    "ConvertImageDtype(torch.int32)": "it gives torch.int32",
    "Grayscale()/RandomCrop(16, padding=2, fill=(1, 1, 1))": "fill=(1, 1, 1)",
}


def public_transforms(module) -> list[str]:
    return [name for name, thing in vars(module).items() if inspect.isclass(thing) and not name.startswith("_")]


def make(module, text: str):
    """A transform of a module as its text says."""
    names = {"np": np, "PIL": PIL, "torch": torch, "tv_tensors": tv_tensors}
    return eval(text, names, vars(module))


def recipe(module, name: str, form: str):
    """A chain that ends in a tensor, with the transform in a place that suits it."""
    if name not in CONVERSIONS:
        return module.Compose([make(module, name + form), module.PILToTensor()])
    before = [make(module, BEFORE[name])] if name in BEFORE else []
    return module.Compose([module.Resize((9, 11)), *before, make(module, name + form)])


def cases():
    for module in (v1, v2):
        forms = {name: list(of_name) for name, of_name in NATIVE.items()}
        for name, of_name in NATIVE_IN_V2.items() if module is v2 else ():
            forms.setdefault(name, []).extend(of_name)
        for name, of_name in forms.items():
            if hasattr(module, name):
                yield from (
                    pytest.param(module, name, form, id=f"{module.__name__.split('.')[-1]}.{name}{form}")
                    for form in of_name
                )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder"), classes=2, images=4, largest=60)


def batches(cls, dataset, batch_size: int):
    torch.manual_seed(7)
    random.seed(7)
    loader = cls(dataset, batch_size=batch_size)
    return [images for images, _ in loader], torch.get_rng_state(), random.getstate()


def assert_as_stock(dataset, batch_size: int) -> None:
    ours, our_state, our_python = batches(fastload.DataLoader, dataset, batch_size)
    stock, state, python = batches(torch.utils.data.DataLoader, dataset, batch_size)
    assert len(ours) == len(stock) > 0
    for mine, theirs in zip(ours, stock, strict=True):
        assert type(mine) is type(theirs) and mine.dtype == theirs.dtype and mine.stride() == theirs.stride()
        assert torch.equal(mine, theirs)
    assert torch.equal(our_state, state) and our_python == python


@pytest.mark.parametrize(("module", "name", "form"), list(cases()))
def test_native_with_the_batches_of_stock(root, module, name, form):
    dataset = ImageFolder(root, recipe(module, name, form))
    reading = read(dataset.transform)
    assert reading.native and not reading.tail, reading.tail_reason
    explanation = fastload.DataLoader(dataset).explain()
    assert explanation.startswith("native: ") and "Python" not in explanation
    assert ("threads of this process" in explanation) == (reading.size is not None)
    assert_as_stock(dataset, 4 if reading.size is not None else 1)


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_every_public_class_is_native_or_has_its_reason(module):
    left = {name.rpartition(".")[2] for name in REASONS if not name.startswith("timm.")}
    listed = {*NATIVE, *NATIVE_IN_V2, *NO_TRANSFORMS, *left}
    assert set(public_transforms(module)) <= listed
    assert all(hasattr(v2, name) or VERSION < (0, 29) for name in listed)
    assert not {*NATIVE, *NATIVE_IN_V2} & left


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("forms", NAMED)
def test_a_form_that_is_not_native_is_named(root, module, forms):
    steps = [make(module, form) for form in forms.split("/")]
    first = module.PILToTensor() if "Dtype" in forms else module.CenterCrop(30)
    chain = module.Compose(
        [module.Resize((40, 40)), first, *steps, *([] if "Dtype" in forms else [module.PILToTensor()])]
    )
    dataset = ImageFolder(root, chain)
    explanation = fastload.DataLoader(dataset).explain()
    name = forms.split("/")[-1].split("(")[0]
    assert re.search(f"the first in Python: {name}: .*{re.escape(NAMED[forms])}", explanation)
    try:
        stock = next(iter(torch.utils.data.DataLoader(dataset)))
    except Exception as error:
        with pytest.raises(type(error)):
            next(iter(fastload.DataLoader(dataset)))
    else:
        del stock
        assert_as_stock(dataset, 4)


@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    "form",
    [
        "RandomCrop(16, padding=3, fill=7)",
        "RandomCrop(16, padding=3, fill=(7,))",
        "RandomCrop((70, 16), pad_if_needed=True, padding_mode='reflect')",
        "Pad((1, 2), fill=[9])",
        "RandomResizedCrop(16)",
        "RandomGrayscale(0.5)",
        "Grayscale(3)",
    ],
)
def test_gray_images(root, module, form):
    dataset = ImageFolder(
        root, module.Compose([module.Grayscale(), make(module, form), module.CenterCrop(16), module.ToTensor()])
    )
    assert not read(dataset.transform).tail
    assert_as_stock(dataset, 4)


def test_rgb_of_gray_images(root):
    dataset = ImageFolder(root, v2.Compose([v2.Grayscale(), v2.CenterCrop(16), v2.RGB(), v2.ToImage(), v2.RGB()]))
    assert "threads of this process" in fastload.DataLoader(dataset).explain()
    assert_as_stock(dataset, 4)


@pytest.mark.parametrize(
    "change",
    [
        ("Resize((16, 16))", "size", "16"),
        ("Resize((16, 16))", "size", 16.5),
        ("Resize((16, 16))", "interpolation", "no such"),
        ("Resize((16, 16))", "max_size", "20"),
        ("CenterCrop(16)", "size", None),
        ("RandomCrop(16, padding=2)", "padding", 2.5),
        ("RandomCrop(16, padding=2)", "fill", "red"),
        ("RandomCrop(16, padding=2)", "padding_mode", 3),
        ("RandomResizedCrop(16)", "scale", 0.5),
        ("RandomResizedCrop(16)", "ratio", ("a", "b")),
        ("RandomHorizontalFlip()", "p", "0.5"),
        ("RandomHorizontalFlip()", "p", None),
        ("Resize((16, 16))", "size", (10**12, 16)),
    ],
    ids=str,
)
@pytest.mark.parametrize("module", [v1, v2], ids=["v1", "v2"])
def test_arguments_that_make_no_sense_are_left_to_torchvision(root, module, change):
    form, argument, value = change
    transform = make(module, form)
    if module is v2 and argument == "fill":
        argument, value = "_fill", {"others": value}
    setattr(transform, argument, value)
    dataset = ImageFolder(root, module.Compose([transform, module.ToTensor()]))
    reading = read(dataset.transform)
    assert reading.tail_reason.startswith(f"{form.split('(')[0]}: ")


def presets_of_weights():
    for name in torchvision.models.list_models():
        for weights in torchvision.models.get_model_weights(name):
            yield f"{name}.{weights.name}", weights.transforms()


def test_presets_of_torchvisions_weights():
    seen = set()
    for name, preset in presets_of_weights():
        reading = read(preset)
        seen.add(type(preset))
        if isinstance(preset, (presets.VideoClassification, presets.OpticalFlow)):  # of clips, or of two images
            assert reading.tail_reason.endswith("not one of the transforms that the engine knows")
        else:
            assert reading.native and not reading.tail, (name, reading.tail_reason)
    assert {kind.__name__ for kind in seen} == set(presets.__all__)


@pytest.mark.parametrize(
    "preset",
    [
        presets.ImageClassification(crop_size=16, resize_size=20),
        presets.ImageClassification(
            crop_size=16, resize_size=20, interpolation=v1.InterpolationMode.BICUBIC, antialias=None
        ),
        presets.ImageClassification(
            crop_size=16, resize_size=20, interpolation=2, antialias="warn", mean=(0.5,), std=[0.25]
        ),
        presets.ObjectDetection(),
        presets.SemanticSegmentation(resize_size=20),
        presets.SemanticSegmentation(resize_size=None),
    ],
    ids=lambda preset: " ".join(str(preset).split()),
)
def test_batches_of_presets(root, preset):
    dataset = ImageFolder(root, preset)
    reading = read(preset)
    assert reading.native and not reading.tail
    assert_as_stock(dataset, 1 if reading.size is None else 4)
