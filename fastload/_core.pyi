"""Types of the native core, in the order of csrc/bindings.cpp. tests/test_core_stub.py holds them to the built module."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

_Memory = Buffer | npt.NDArray[Any]  # NumPy's arrays are Buffers from Python 3.12 on
# What a sample's bytes are read from: a path, a range of a file (path, offset, length[, crc32c or -1[, (size, time in
# ns, inode or 0) of the file]]), or memory.
_Source = (
    str | tuple[str, int, int] | tuple[str, int, int, int] | tuple[str, int, int, int, tuple[int, int, int]] | _Memory
)
_Box = tuple[int, int, int, int]  # x, y, width, height
_Path = PathLike[Any] | str | bytes

# Random numbers

class Mt19937:
    def __init__(self, seed: int) -> None: ...
    @staticmethod
    def from_torch(state: _Memory) -> Mt19937: ...
    def next(self) -> int: ...
    def export_torch(self, state: _Memory) -> None: ...

def philox_words(seed: int, epoch: int, index: int, count: int) -> list[int]: ...

class Streams:
    # python: as random.getstate() has it; numpy: as numpy.random.get_state(legacy=False)
    def __init__(self, torch: Mt19937, *, python: Any = None, numpy: Any = None) -> None: ...
    @property
    def torch(self) -> Mt19937: ...
    @property
    def python(self) -> Any: ...
    @property
    def numpy(self) -> Any: ...
    def python_random(self) -> float: ...
    def python_uniform(self, a: float, b: float) -> float: ...
    def python_randrange(self, n: int) -> int: ...
    def python_gauss(self, mu: float, sigma: float) -> float: ...
    def python_choices(self, cumulated: Sequence[float]) -> int: ...
    def python_shuffled(self, count: int) -> list[int]: ...
    def numpy_random_sample(self) -> float: ...
    def numpy_randint(self, n: int) -> int: ...
    def numpy_choice(self, p: Sequence[float], count: int) -> list[int]: ...
    def numpy_dirichlet(self, count: int) -> list[float]: ...
    def numpy_beta(self) -> float: ...

class DrawOrder:
    def __init__(self, generators: Streams) -> None: ...
    def generators(self) -> Streams: ...

# Transforms

class _Enum:  # of this file: what each enum has
    __members__: ClassVar[dict[str, Any]]
    def __init__(self, value: int) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __hash__(self) -> int: ...

class Kind(_Enum):
    random_resized_crop: ClassVar[Kind]
    resize: ClassVar[Kind]
    center_crop: ClassVar[Kind]
    random_crop: ClassVar[Kind]
    random_horizontal_flip: ClassVar[Kind]
    random_vertical_flip: ClassVar[Kind]
    grayscale: ClassVar[Kind]
    random_grayscale: ClassVar[Kind]
    pad: ClassVar[Kind]
    random_recolour: ClassVar[Kind]
    color_jitter: ClassVar[Kind]
    photometric_distort: ClassVar[Kind]
    permute_channels: ClassVar[Kind]
    random_rotation: ClassVar[Kind]
    random_affine: ClassVar[Kind]
    random_perspective: ClassVar[Kind]
    random_zoom_out: ClassVar[Kind]
    scale_jitter: ClassVar[Kind]
    random_shortest_size: ClassVar[Kind]
    random_resize: ClassVar[Kind]
    gaussian_blur: ClassVar[Kind]
    pillow_blur: ClassVar[Kind]
    recolour: ClassVar[Kind]
    random_erasing: ClassVar[Kind]
    policy: ClassVar[Kind]
    aug_mix: ClassVar[Kind]
    random_apply: ClassVar[Kind]
    random_order: ClassVar[Kind]
    random_choice: ClassVar[Kind]
    timm_crop_and_resize: ClassVar[Kind]
    timm_resize_keep_ratio: ClassVar[Kind]
    timm_crop_or_pad: ClassVar[Kind]
    timm_augment: ClassVar[Kind]
    timm_erasing: ClassVar[Kind]
    group: ClassVar[Kind]

class Change(_Enum):
    brightness: ClassVar[Change]
    contrast: ClassVar[Change]
    saturation: ClassVar[Change]
    hue: ClassVar[Change]
    sharpness: ClassVar[Change]
    autocontrast: ClassVar[Change]
    equalize: ClassVar[Change]
    solarize: ClassVar[Change]
    posterize: ClassVar[Change]
    brighten_dark: ClassVar[Change]
    channels: ClassVar[Change]

class Filter(_Enum):
    nearest: ClassVar[Filter]
    box: ClassVar[Filter]
    bilinear: ClassVar[Filter]
    hamming: ClassVar[Filter]
    bicubic: ClassVar[Filter]
    lanczos: ClassVar[Filter]

class PadMode(_Enum):
    constant: ClassVar[PadMode]
    edge: ClassVar[PadMode]
    reflect: ClassVar[PadMode]
    symmetric: ClassVar[PadMode]

class VerticalFirst(_Enum):
    never: ClassVar[VerticalFirst]
    very_tall: ClassVar[VerticalFirst]
    much_shorter: ClassVar[VerticalFirst]

def vertical_first_of(major: int, minor: int) -> VerticalFirst: ...

class Recolour:
    # level: of hue 0 to 255, of solarize the first inverted value, of posterize the bits that stay; order: of channels
    def __init__(self, change: Change, *, factor: float = 1.0, level: int = 0, order: Sequence[int] = ...) -> None: ...
    @property
    def change(self) -> Change: ...

class GaussianBlur:
    def __init__(
        self,
        size: Sequence[int],
        *,
        sigma: float = 1.0,
        v2: bool = False,
        is_gray: bool = False,
        in_order: bool = False,
    ) -> None: ...
    @property
    def in_order(self) -> bool: ...

class Transform:
    v2: bool
    height: int
    width: int
    max_size: int
    filter: Filter
    p: float
    p_inclusive: bool
    is_gray: bool
    is_noise: bool
    is_plain: bool
    policy: Policy | None
    aug_mix: AugMix | None
    count: int
    weights: Sequence[float]
    longest: float
    by_area: bool
    aspect_p: float
    filters: list[Filter]
    draws_filter: bool
    draws_python: bool
    draws_numpy: bool
    stage: int
    def set_log_ratio_in_double(self, log_ratio: Sequence[float]) -> None: ...
    def set_augments(self, policy: AugmentPolicy) -> None: ...
    def set_rectangles(self, least: int, most: int) -> None: ...
    recolour: Recolour
    blur: GaussianBlur
    padded: bool
    pad_if_needed: bool
    pad_mode: PadMode
    sizes: list[float]
    expand: bool
    distortion: float
    def __init__(self, kind: Kind) -> None: ...
    @property
    def kind(self) -> Kind: ...
    def set_center(self, xy: Sequence[float]) -> None: ...
    def set_shares(self, xy: Sequence[float]) -> None: ...
    def set_scale(self, scale: Sequence[float]) -> None: ...
    def set_ratio(self, ratio: Sequence[float]) -> None: ...
    def set_log_ratio(self, low: float, high: float) -> None: ...
    def set_padding(self, ltrb: Sequence[int]) -> None: ...
    def set_fill(self, rgb: Sequence[int]) -> None: ...
    def set_range(self, which: int, least: float, most: float) -> None: ...

class AugmentKind(_Enum):
    autocontrast: ClassVar[AugmentKind]
    equalize: ClassVar[AugmentKind]
    invert: ClassVar[AugmentKind]
    posterize: ClassVar[AugmentKind]
    solarize: ClassVar[AugmentKind]
    solarize_add: ClassVar[AugmentKind]
    color: ClassVar[AugmentKind]
    contrast: ClassVar[AugmentKind]
    brightness: ClassVar[AugmentKind]
    sharpness: ClassVar[AugmentKind]
    desaturate: ClassVar[AugmentKind]
    gaussian_blur: ClassVar[AugmentKind]
    gaussian_blur_rand: ClassVar[AugmentKind]
    rotate: ClassVar[AugmentKind]
    shear_x: ClassVar[AugmentKind]
    shear_y: ClassVar[AugmentKind]
    translate_x: ClassVar[AugmentKind]
    translate_y: ClassVar[AugmentKind]
    translate_x_rel: ClassVar[AugmentKind]
    translate_y_rel: ClassVar[AugmentKind]

class Augment:
    def __init__(self, kind: AugmentKind) -> None: ...
    @property
    def kind(self) -> AugmentKind: ...
    is_increasing: bool
    is_original: bool
    p: float
    magnitude: float
    std: float
    most_magnitude: float
    reach: float
    least_bits: int
    least: float
    most: float
    def set_filters(self, filters: Sequence[Filter], draws: bool) -> None: ...
    def set_fill(self, rgb: Sequence[int]) -> None: ...

class AugmentPolicy:
    def __init__(
        self,
        choices: Sequence[Sequence[Augment]],
        *,
        layers: int = 1,
        p: Sequence[float] = ...,
        is_auto: bool = False,
    ) -> None: ...

class Recipe:
    def __init__(
        self,
        transforms: Sequence[Transform],
        *,
        fused_uniform: bool,
        vertical_first: VerticalFirst,
        stages: Sequence[str] = ...,
    ) -> None: ...
    @property
    def draws(self) -> bool: ...
    @property
    def draws_python(self) -> bool: ...
    @property
    def draws_numpy(self) -> bool: ...
    # (window, width, height, flip_horizontal, flip_vertical)
    def draw(self, generators: Streams, width: int, height: int) -> tuple[_Box, int, int, bool, bool]: ...

# Policies

class Effect:
    @staticmethod
    def nothing() -> Effect: ...
    @staticmethod
    def recolour(recolour: Recolour) -> Effect: ...
    @staticmethod
    def shear(x: float, y: float) -> Effect: ...  # degrees, about the first pixel's corner
    @staticmethod
    def translate(x: float, y: float) -> Effect: ...
    @staticmethod
    def rotate(angle: float) -> Effect: ...  # degrees
    # by int(torch.linspace(0, times * side / divisor, bins)[bin]) pixels
    @staticmethod
    def spread(
        *, is_vertical: bool, is_negative: bool, times: float, divisor: float, bins: int, bin: int
    ) -> Effect: ...

class Operation:
    # effects: of each magnitude, and behind it of the negative one; magnitudes: how many one is drawn of, 0: none is drawn
    def __init__(self, effects: Sequence[Effect], *, is_signed: bool, magnitudes: int, p: float = 1.0) -> None: ...

class Policy:
    # choices: operations, one after the other; is_auto: each with its probability
    def __init__(
        self,
        choices: Sequence[Sequence[Operation]],
        *,
        v2: bool,
        is_auto: bool,
        count: int,
        filter: Filter,
        fill: Sequence[int],
    ) -> None: ...

# AugMix

class TensorOp:
    @staticmethod
    def table(table: Sequence[int]) -> TensorOp: ...
    @staticmethod
    def autocontrast() -> TensorOp: ...
    @staticmethod
    def equalize() -> TensorOp: ...
    @staticmethod
    def saturation(ratio: float, rest: float) -> TensorOp: ...
    @staticmethod
    def contrast(ratio: float, rest: float) -> TensorOp: ...
    @staticmethod
    def sharpness(ratio: float, rest: float) -> TensorOp: ...
    @staticmethod
    def warp(by: Sequence[float]) -> TensorOp: ...

class MixOperation:
    def __init__(self, effects: Sequence[TensorOp], *, is_signed: bool, magnitudes: int) -> None: ...

class AugMix:
    def __init__(
        self,
        operations: Sequence[MixOperation],
        *,
        size: tuple[int, int],  # height and width
        is_gray: bool,
        is_fused: bool,
        is_nearest: bool,
        alpha: float,
        chains: int,
        depth: int,
    ) -> None: ...

def tensor_op(
    image: npt.NDArray[Any],
    operation: TensorOp,
    *,
    is_gray: bool = False,
    is_fused: bool = False,
    is_nearest: bool = False,
    is_scalar: bool = False,
) -> npt.NDArray[Any]: ...

# Target

class Target:
    # element: uint8, float32, float16, bfloat16 or float64; layout: chw or hwc
    def __init__(
        self,
        table: _Memory,
        *,
        element: str,
        layout: str,
        mean: Sequence[float] = ...,
        std: Sequence[float] = ...,
        erased: bytes = ...,  # an element a channel for each RandomErasing
        noise: Sequence[
            str
        ] = ...,  # dtypes of torch's that normal deviates are cast to, one after the other; none: there is no noise
    ) -> None: ...
    @property
    def arithmetic(self) -> bool: ...
    @property
    def channels(self) -> int: ...

# Index

class PathTable:
    def __init__(self) -> None: ...
    def append(self, path: str, target: int) -> None: ...
    def shrink(self) -> None: ...
    def __reduce_ex__(self, protocol: int) -> Any: ...  # type: ignore[override]  # its base takes any index
    def __len__(self) -> int: ...
    def path(self, i: int) -> str: ...
    def target(self, i: int) -> int: ...
    @property
    def memory_bytes(self) -> int: ...

# Shards

def scan_tar(
    source: str | Callable[[int, int], bytes],
    size: int,
    images: Sequence[str],
    targets: Sequence[tuple[str, bool]],
    window: int = 4096,
) -> dict[str, Any]: ...
def list_tar(
    source: str | Callable[[int, int], bytes], size: int, window: int = 4096
) -> tuple[list[tuple[bytes, int, int, bool]], str, int, bytes]: ...
def split_tar_name(name: str | bytes) -> tuple[bytes, bytes] | None: ...
def crc32c(data: _Memory, before: int = 0, variant: str = "") -> int: ...
def example_features(example: _Memory) -> dict[bytes, list[Any]]: ...
def protobuf_fields(message: _Memory) -> list[tuple[int, int | tuple[int, int]]]: ...
def scan_tfrecord(
    source: str | Callable[[int, int], bytes],
    size: int,
    image: str,
    label: str,
    name: str,
    class_name: str,
    checks_data: bool,
    sums_images: bool,
    goes_on: bool = False,
) -> dict[str, Any]: ...

# Images, for tests: uint8 [height, width, 3 or 4] in, [height, width, 3] out

def simd_variants() -> list[str]: ...
def needed_input(
    in_width: int,
    in_height: int,
    out_width: int,
    out_height: int,
    filter: Filter,
    region: Sequence[int] | None = None,
) -> _Box: ...
def resample(
    image: npt.ArrayLike,
    out_width: int,
    out_height: int,
    filter: Filter,
    region: Sequence[int] | None = None,
    simd: str = "scalar",
) -> npt.NDArray[np.uint8]: ...
def pack(image: npt.ArrayLike, target: Target, hflip: bool, vflip: bool, simd: str = "scalar") -> npt.NDArray[Any]: ...
def pad(
    image: npt.ArrayLike, left: int, top: int, right: int, bottom: int, mode: PadMode, fill: Sequence[int]
) -> npt.NDArray[np.uint8]: ...
def flip(image: npt.ArrayLike, horizontal: bool, vertical: bool) -> npt.NDArray[np.uint8]: ...
def compact(image: npt.ArrayLike, window: Sequence[int], simd: str = "scalar") -> tuple[int, npt.NDArray[np.uint8]]: ...
def grayscale(image: npt.ArrayLike, simd: str = "scalar") -> npt.NDArray[np.uint8]: ...
def warp(
    image: npt.ArrayLike,
    by: Sequence[float],
    filter: Filter,
    out_width: int,
    out_height: int,
    fill: Sequence[int] = (0, 0, 0),
    region: Sequence[int] | None = None,
    simd: str = "scalar",
) -> npt.NDArray[np.uint8]: ...
def affine_map(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    v2: bool = False,
) -> list[float]: ...
def rotation(
    width: int, height: int, angle: float, expand: bool = False, center: Sequence[float] | None = None
) -> tuple[int, int, list[float]]: ...
def perspective_map(width: int, height: int, ends: Sequence[Sequence[int]]) -> list[float] | None: ...
def recolour(
    image: npt.ArrayLike, recolour: Recolour, region: Sequence[int] | None = None, simd: str = "scalar"
) -> npt.NDArray[np.uint8]: ...
def gaussian_blur(
    image: npt.ArrayLike, blur: GaussianBlur, region: Sequence[int] | None = None, simd: str = "scalar"
) -> tuple[npt.NDArray[np.uint8], int]: ...
def sums_in_order(values: npt.ArrayLike, weights: npt.ArrayLike) -> npt.NDArray[np.float32]: ...
def box_blur(
    image: npt.ArrayLike, x: float, y: float, region: Sequence[int] | None = None, simd: str = "scalar"
) -> npt.NDArray[np.uint8]: ...
def cmyk_to_rgb(image: npt.ArrayLike) -> npt.NDArray[np.uint8]: ...

# JPEGs, for tests

class JpegError(Exception): ...

def libjpeg_version() -> str: ...
def jpeg_header(data: bytes, max_pixels: int = 0) -> tuple[int, int, bool]: ...
def jpeg_entropies() -> list[str]: ...
def jpeg_decode(
    data: bytes,
    window: _Box | None = None,
    max_pixels: int = 0,
    entropy: str | None = None,
    simd: str | None = None,
) -> npt.NDArray[np.uint8]: ...
def jpeg_entries(data: bytes, every: int, entropy: str | None = None) -> bytes | None: ...
def jpeg_decode_entered(
    data: bytes, record: bytes, window: _Box | None = None, entropy: str | None = None
) -> tuple[npt.NDArray[np.uint8], int]: ...
def jpeg_entry_points(
    record: bytes,
) -> tuple[int, int, int, int, int, int, int, int, list[tuple[int, list[int]]]]: ...
def jpeg_sequential(data: Buffer, max_pixels: int) -> tuple[bytes, bool] | None: ...
def jpeg_coefficients(
    data: bytes, window: _Box | None = None, record: bytes | None = None
) -> tuple[npt.NDArray[np.int16], list[tuple[int, int, int, int, int, int]]] | None: ...

# Objects far away

class HttpBody(Buffer):
    def __len__(self) -> int: ...

def http_exchange(
    fd: int, request: bytes, is_whole: bool
) -> tuple[str, tuple[str, dict[str, str]], bytes, HttpBody | None]: ...
def http_head(head: bytes) -> tuple[str, dict[str, str]]: ...

class HttpEnded:
    @property
    def number(self) -> int: ...
    @property
    def why(self) -> str: ...
    @property
    def error(self) -> int: ...
    @property
    def is_plain(self) -> bool: ...
    @property
    def body(self) -> HttpBody | None: ...
    @property
    def size(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def closes(self) -> bool: ...
    @property
    def head(self) -> tuple[str, dict[str, str]]: ...

class HttpLoop:
    def __init__(self, patience_s: float) -> None: ...
    def begin(self, number: int, fd: int, request: bytes, first: int, length: int) -> None: ...
    def run(self) -> list[HttpEnded]: ...
    def wake(self) -> None: ...

# Batches

class BatchMemory:
    # grow(id, bytes, gone)
    def __init__(self, grow: Callable[[int, int, list[int]], npt.NDArray[np.uint8]]) -> None: ...
    def give(self, id: int) -> None: ...
    def forget(self, id: int) -> None: ...

class Cache:
    @staticmethod
    def create(name: str, *, decoded: bool, bytes: int, samples: int) -> Cache: ...
    @staticmethod
    def join(fd: int, *, decoded: bool) -> Cache: ...
    def contains(self, source: _Source, name: str | None = None, *, variant: int = 0) -> bool: ...
    @property
    def is_decoded(self) -> bool: ...
    @property
    def fd(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def used(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def is_full(self) -> bool: ...

class RecordLog:
    def __init__(self, folder: _Path, name: _Path) -> None: ...
    def end(self) -> None: ...
    @property
    def records(self) -> int: ...
    @property
    def path(self) -> Path: ...
    @property
    def is_open(self) -> bool: ...

class EntryStore:
    # roots: (prefix, [(path, slots_at, slots, records_at, records_bytes)], log)
    def __init__(
        self,
        roots: Sequence[tuple[_Path, Sequence[tuple[_Path, int, int, int, int]], RecordLog | None]],
        *,
        every: int,
        verifies: bool,
    ) -> None: ...
    def knows(self, source: Any) -> bool: ...
    # (made, known, none, failed, bytes)
    def make(self, sources: list[Any], threads: int) -> tuple[int, int, int, int, int]: ...

class EntryMerge:
    def __init__(self) -> None: ...
    def add(self, path: _Path, at: int = 0, size: int = -1) -> None: ...
    def finish(self) -> None: ...
    @property
    def records(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def slots(self) -> npt.NDArray[np.uint64]: ...
    def next(self) -> bytes: ...

# What a GPU runs

def kernel_sizes() -> dict[str, int]: ...
def make_images(
    block: npt.NDArray[np.uint8], works_at: int, scratch_bytes: int, out: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32]: ...
def device_window(
    data: bytes, window: _Box, record: bytes | None = None
) -> tuple[npt.NDArray[np.uint8], int] | None: ...
def kernel_sources() -> dict[str, str]: ...

class Leave(_Enum):
    nothing: ClassVar[Leave]
    bytes: ClassVar[Leave]
    windows: ClassVar[Leave]

class Batch:
    def take_block(self) -> int: ...
    def wait(self, timeout_s: float = -1.0) -> bool: ...
    def wait_planned(self, timeout_s: float = -1.0) -> bool: ...
    @property
    def done(self) -> bool: ...
    @property
    def remaining(self) -> int: ...
    @property
    def finished_at(self) -> float: ...
    @property
    def failures(self) -> list[tuple[int, str, str]]: ...
    @property
    def generators_after(self) -> Streams: ...
    @property
    def deferred_pixels(self) -> int: ...
    @property
    def deferred_count(self) -> int: ...
    @property
    def deferred_taps(self) -> int: ...
    # (samples [n, 8], passes [n, 2, 6], encoded)
    def deferred(
        self, taps: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], list[npt.NDArray[np.uint8]]]: ...
    # (slabs: (block, used bytes), place of the works, bytes of scratch memory, the most of an image)
    def windows(self) -> tuple[list[tuple[int, int]], int, int, tuple[int, int, int, int]]: ...
    @property
    def left_samplings(self) -> list[int]: ...
    @property
    def left_codes(self) -> int: ...
    @property
    def kept(self) -> dict[str, int]: ...
    @property
    def fallbacks(self) -> int: ...
    @property
    def cached(self) -> int: ...
    @property
    def slowest(self) -> tuple[int, float, float]: ...
    @property
    def entries(self) -> tuple[int, int, int]: ...
    @property
    def stage_seconds(self) -> dict[str, float]: ...
    @property
    def mixing(self) -> tuple[int, float]: ...

# The engine

class Engine:
    def __init__(self, threads: int, niceness: int = 0) -> None: ...
    def submit(
        self,
        sources: list[Any],  # _Source
        indices: Sequence[int],
        *,
        recipe: Recipe,
        target: Target,
        size: Sequence[int],
        out: BatchMemory | npt.NDArray[Any],
        order: DrawOrder | None,
        seed: int,
        epoch: int,
        stop_at_failure: bool,
        max_pixels: int,
        # load(slot, why), or load(slot, why, encoded) where a cache has the bytes
        load: Callable[..., npt.NDArray[np.uint8] | None] | None,
        leave: Leave = ...,
        cache: Cache | None = None,
        cache_names: list[str | None] | None = None,
        cache_variant: int = 0,
        entries: EntryStore | None = None,
        mix: Callable[[Mt19937], Any] | None = None,
        mix_stage: str = "",
    ) -> Batch: ...
    def take_back(self, batch: Batch, slots: Sequence[int]) -> None: ...
    def end(self) -> None: ...
    def stop(self, patience_s: float = 2.0) -> None: ...
    def run_on(self, threads: int) -> None: ...
    @property
    def is_forked_copy(self) -> bool: ...
    @property
    def threads(self) -> int: ...
    @property
    def running_threads(self) -> int: ...
    @property
    def samples_made(self) -> int: ...
    @property
    def niceness(self) -> int: ...

# One sample at a time

class Column:
    @property
    def block(self) -> Any: ...
    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def held(self) -> int: ...

class Places:
    def __init__(self, take: Callable[[int], tuple[Any, int] | None], count: int) -> None: ...
    def begin(self, sample: int) -> None: ...
    def one_each(self) -> None: ...
    @property
    def columns(self) -> list[Column]: ...

class TorchDraw:
    def undo(self) -> None: ...

class OpenSample:
    def draw(self, recipe: Recipe, generators: Streams) -> bool: ...
    def draw_from(self, recipe: Recipe, generator: Any) -> TorchDraw | None: ...
    def draw_indexed(self, recipe: Recipe, seed: int, epoch: int, index: int) -> bool: ...
    def read(self, target: Target, places: Places | None = None) -> npt.NDArray[Any] | None: ...
    @property
    def was_cached(self) -> bool: ...
    @property
    def entries(self) -> tuple[bool, bool, bool]: ...

class StepKind(_Enum):
    crop: ClassVar[StepKind]
    resize: ClassVar[StepKind]
    flip_horizontal: ClassVar[StepKind]
    flip_vertical: ClassVar[StepKind]
    transpose: ClassVar[StepKind]
    grayscale: ClassVar[StepKind]
    box_blur: ClassVar[StepKind]
    recolour: ClassVar[StepKind]

class AsTheyAre:
    def __init__(
        self, things: list[Any], classes: list[Any], dicts: list[Any], lists: list[Any], empty: list[Any]
    ) -> None: ...
    def hold(self) -> bool: ...

class Versions:
    def __init__(self, owners: list[Any]) -> None: ...
    def now(self) -> bytes | None: ...

class Plan:
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...

def jpeg_header_for_pillow(
    beginning: bytes,
) -> (
    tuple[
        tuple[int, int],
        str,
        int,
        list[tuple[int, int, int, int]],
        dict[int, list[int]],
        dict[str, bytes],
        list[tuple[str, bytes]],
        list[bytes],
        dict[str, Any],
        int,
        int,
    ]
    | None
): ...
def read_file(descriptor: int, most: int) -> bytes | None: ...

_NotedStep = tuple[
    StepKind,
    _Box | None,
    Filter | None,
    tuple[float, float] | None,
    Recolour | None,
    tuple[float, float, float, float] | None,
]

class LazyJpeg:
    @staticmethod
    def of(data: bytes, max_pixels: int) -> LazyJpeg | None: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def is_gray(self) -> bool: ...
    @property
    def has_pixels(self) -> bool: ...
    def keep_pixels(self, reader: Reader) -> bool: ...
    def draw(
        self,
        steps: Sequence[_NotedStep],
        recipe: Recipe,
        generators: Streams,
    ) -> Plan | None: ...
    def draw_from(
        self,
        steps: Sequence[_NotedStep],
        recipe: Recipe,
        generator: Any,
    ) -> tuple[Plan, TorchDraw] | None: ...
    def values(
        self, reader: Reader, plan: Plan, target: Target, places: Places | None = None
    ) -> npt.NDArray[Any] | None: ...
    def draw_each(
        self,
        steps: Sequence[_NotedStep],
        recipes: Sequence[Recipe],
        generators: Streams,
    ) -> list[Plan] | None: ...
    def values_of_each(
        self, reader: Reader, plans: Sequence[Plan], targets: Sequence[Target], places: Places | None = None
    ) -> list[npt.NDArray[Any]] | None: ...
    def rgbx(self, reader: Reader, plan: Plan, fourth: int) -> npt.NDArray[np.uint8] | None: ...
    def packed(self, reader: Reader, plan: Plan, channels: int) -> bytes | None: ...

class Arrival:
    def __init__(self) -> None: ...
    def fulfil(self, data: Buffer) -> bool: ...
    def fail(self, why: str) -> bool: ...
    def give_up(self) -> None: ...
    def wait(self, timeout_s: float) -> bool: ...
    @property
    def given_up(self) -> bool: ...
    @property
    def late(self) -> bool: ...

class Reader:
    def __init__(self) -> None: ...
    def open(
        self,
        source: _Source,
        max_pixels: int,
        *,
        cache: Cache | None = None,
        cache_name: str | None = None,
        cache_variant: int = 0,
        load: Callable[[bytes | None], npt.NDArray[np.uint8]] | None = None,
        entries: EntryStore | None = None,
    ) -> OpenSample | None: ...
