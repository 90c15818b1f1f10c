"""Types of the native core, as `make stubs` writes them; tests/core/test_core_stub.py holds them to the built module."""

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

class Mt19937:
    """torch's CPU generator."""
    def __init__(self, seed: int) -> None: ...
    @staticmethod
    def from_torch(state: _Memory) -> Mt19937:
        """From the bytes of torch.get_rng_state()."""
    def next(self) -> int: ...
    def export_torch(self, state: _Memory) -> None:
        """Writes this generator into the bytes of torch.get_rng_state()."""

def philox_words(seed: int, epoch: int, index: int, count: int) -> list[int]: ...

class Streams:
    """torch's generator, and beside it Python's and NumPy's where a recipe draws from them."""
    def __init__(self, torch: Mt19937, *, python: Any = None, numpy: Any = None) -> None:
        """`python`: as random.getstate() gives it; `numpy`: as numpy.random.get_state(legacy=False) does."""
    @property
    def torch(self) -> Mt19937:
        """A copy."""
    @property
    def python(self) -> Any:
        """For random.setstate(); None: it was not given."""
    @property
    def numpy(self) -> Any:
        """For numpy.random.set_state(); None: it was not given."""
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
    """The generators of one emulated worker, drawn from in the order of samples."""
    def __init__(self, generators: Streams) -> None: ...
    def generators(self) -> Streams:
        """A copy of the generators as they are between two samples."""

class GaussianBlur:
    """torchvision's blur; `size` is (width, height) of its kernel."""
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
    def in_order(self) -> bool:
        """Whether torch's sums are known to be fused multiply-adds, row by row."""

def gaussian_blur(
    image: npt.ArrayLike, blur: GaussianBlur, region: Sequence[int] | None = None, simd: str = "scalar"
) -> tuple[npt.NDArray[np.uint8], int]:
    """The region of the blurred image, and how many of its pixels were doubtful."""

def sums_in_order(values: npt.ArrayLike, weights: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """A convolution in two dimensions: fused multiply-adds, row by row."""

def box_blur(
    image: npt.ArrayLike, x: float, y: float, region: Sequence[int] | None = None, simd: str = "scalar"
) -> npt.NDArray[np.uint8]:
    """The region of what Pillow's GaussianBlur((x, y)) makes of the image."""

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

def vertical_first_of(major: int, minor: int) -> VerticalFirst:
    """Of Pillow of that version."""

class Recolour:
    """A change of colour, as Pillow computes it."""
    def __init__(
        self, change: Change, *, factor: float = 1.0, level: int = 0, order: Sequence[int] = [0, 1, 2]
    ) -> None:
        """`level`: hue's 0 to 255, solarize's first inverted value, posterize's bits that stay; `order`: of
        channels.
        """
    @property
    def change(self) -> Change: ...

class Transform:
    """One geometric or grayscale transform with torchvision's parameters."""
    def __init__(self, kind: Kind) -> None: ...
    @property
    def kind(self) -> Kind: ...
    v2: bool
    height: int
    width: int
    max_size: int
    filter: Filter
    p: float
    p_inclusive: bool
    is_gray: bool
    is_noise: bool
    aug_mix: AugMix | None
    policy: Policy | None
    count: int
    weights: Sequence[float]
    longest: float
    by_area: bool
    aspect_p: float
    filters: list[Filter]
    draws_filter: bool
    def set_log_ratio_in_double(self, log_ratio: Sequence[float]) -> None: ...
    draws_python: bool
    draws_numpy: bool
    stage: int
    recolour: Recolour
    blur: GaussianBlur
    def set_range(self, which: int, least: float, most: float) -> None:
        """0 to 3: brightness, contrast, saturation, hue."""
    padded: bool
    pad_if_needed: bool
    pad_mode: PadMode
    sizes: list[float]
    expand: bool
    distortion: float
    def set_center(self, xy: Sequence[float]) -> None: ...
    def set_shares(self, xy: Sequence[float]) -> None:
        """How far it moves at most, of the width and the height."""
    def set_scale(self, scale: Sequence[float]) -> None: ...
    def set_ratio(self, ratio: Sequence[float]) -> None: ...
    def set_log_ratio(self, low: float, high: float) -> None: ...
    def set_padding(self, ltrb: Sequence[int]) -> None: ...
    def set_fill(self, rgb: Sequence[int]) -> None: ...
    def set_augments(self, policy: AugmentPolicy) -> None: ...
    is_plain: bool
    def set_rectangles(self, least: int, most: int) -> None:
        """How many timm's RandomErasing erases."""

def affine_map(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    v2: bool = False,
) -> list[float]:
    """The inverse affine matrix of torchvision's transforms, or of its transforms.v2."""

def rotation(
    width: int, height: int, angle: float, expand: bool = False, center: Sequence[float] | None = None
) -> tuple[int, int, list[float]]:
    """(width, height, the six numbers) of Pillow's Image.rotate; none of them where it only flips and transposes."""

def perspective_map(width: int, height: int, ends: Sequence[Sequence[int]]) -> list[float] | None:
    """The eight numbers of torchvision's perspective, or None where only torch itself is certain of them."""

class Recipe:
    """Transforms in order, ready to draw from."""
    def __init__(
        self,
        transforms: Sequence[Transform],
        *,
        fused_uniform: bool,
        vertical_first: VerticalFirst,
        stages: Sequence[str] = [],
    ) -> None: ...
    @property
    def draws(self) -> bool:
        """Whether a sample may cost random numbers."""
    @property
    def draws_python(self) -> bool:
        """Whether some of them are of Python's `random`."""
    @property
    def draws_numpy(self) -> bool:
        """Whether some of them are of NumPy's legacy generator."""
    def draw(self, generators: Streams, width: int, height: int) -> tuple[_Box, int, int, bool, bool]:
        """(window (x, y, width, height), width, height, trailing flips) for an image of this size."""

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
    """One AugmentOp of timm."""
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
    """timm's RandAugment or AutoAugment."""
    def __init__(
        self, choices: Sequence[Sequence[Augment]], *, layers: int = 1, p: Sequence[float] = [], is_auto: bool = False
    ) -> None: ...

class Effect:
    """An operation of a policy at one strength."""
    @staticmethod
    def nothing() -> Effect: ...
    @staticmethod
    def recolour(recolour: Recolour) -> Effect: ...
    @staticmethod
    def shear(x: float, y: float) -> Effect:
        """By degrees, about the first pixel's corner."""
    @staticmethod
    def translate(x: float, y: float) -> Effect: ...
    @staticmethod
    def rotate(angle: float) -> Effect:
        """By degrees."""
    @staticmethod
    def spread(
        *, is_vertical: bool, is_negative: bool, times: float, divisor: float, bins: int, bin: int
    ) -> Effect: ...

class Operation:
    """An operation of a policy."""
    def __init__(self, effects: Sequence[Effect], *, is_signed: bool, magnitudes: int, p: float = 1.0) -> None:
        """`effects`: of each magnitude, and behind it of the negative one; `magnitudes`: how many one is drawn of,
        0: none is drawn.
        """

class Policy:
    """AutoAugment, RandAugment or TrivialAugmentWide."""
    def __init__(
        self,
        choices: Sequence[Sequence[Operation]],
        *,
        v2: bool,
        is_auto: bool,
        count: int,
        filter: Filter,
        fill: Sequence[int],
    ) -> None:
        """`choices`: operations, one after the other; `is_auto`: each with its probability."""

class TensorOp:
    """An operation on a tensor of bytes at one strength."""
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
    """An operation of AugMix."""
    def __init__(self, effects: Sequence[TensorOp], *, is_signed: bool, magnitudes: int) -> None: ...

class AugMix:
    """AugMix of images of one size (height, width)."""
    def __init__(
        self,
        operations: Sequence[MixOperation],
        *,
        size: tuple[int, int],
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
) -> npt.NDArray[Any]:
    """What one operation of AugMix makes of [height, width, 3]."""

class Target:
    """What a byte of each channel becomes, and where."""
    def __init__(
        self,
        table: _Memory,
        *,
        element: str,
        layout: str,
        mean: Sequence[float] = [],
        std: Sequence[float] = [],
        erased: bytes = b"",
        noise: Sequence[str] = [],
    ) -> None:
        """`element`: uint8, float32, float16, bfloat16 or float64; `layout`: chw or hwc; `erased`: an element a
        channel for each RandomErasing; `noise`: dtypes of torch's that normal deviates are cast to, one after
        the other.
        """
    @property
    def arithmetic(self) -> bool: ...
    @property
    def channels(self) -> int: ...

class PathTable:
    """Paths and integer targets in flat arrays."""
    def __init__(self) -> None: ...
    def append(self, path: str, target: int) -> None: ...
    def shrink(self) -> None: ...
    def __reduce_ex__(self, protocol: int) -> Any: ...  # type: ignore[override]
    def __len__(self) -> int: ...
    def path(self, i: int) -> str: ...
    def target(self, i: int) -> int: ...
    def at(self, indices: Sequence[int]) -> tuple[list[Any], list[Any]]:
        """Paths and targets of many."""
    @property
    def memory_bytes(self) -> int: ...

def scan_tar(
    source: str | Callable[[int, int], bytes],
    size: int,
    images: Sequence[str],
    targets: Sequence[tuple[str, bool]],
    window: int = 4096,
) -> dict[str, Any]:
    """The samples of a tar of `size` bytes: a file's path, or what gives bytes by (offset, length)."""

def list_tar(
    source: str | Callable[[int, int], bytes], size: int, window: int = 4096
) -> tuple[list[tuple[bytes, int, int, bool]], str, int, bytes]:
    """The files in a tar, each (name, offset, size, whether another tar began before it), and how it ended."""

def split_tar_name(name: str | bytes) -> tuple[bytes, bytes] | None:
    """Key and ending of a member's name; None if it is of no sample."""

def crc32c(data: _Memory, before: int = 0, variant: str = "") -> int:
    """CRC-32C of bytes that come after others; variant: table, sse42, or the fastest there is"""

def example_features(example: _Memory) -> dict[bytes, list[Any]]:
    """the features of one tf.train.Example: their names, and lists of their values"""

def protobuf_fields(message: _Memory) -> list[tuple[int, int | tuple[int, int]]]:
    """the fields of a protobuf message: (number, value), or (number, (begin, end)) of bytes"""

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
) -> dict[str, Any]:
    """columns of a TFRecord file of `size` bytes: its path, or what gives bytes by (offset, length); with 'error':
    (what, record, offset) where it ended early, and 'bad': (record, offset, row or -1, why) of those that it
    went past
    """

def simd_variants() -> list[str]: ...
def needed_input(
    in_width: int, in_height: int, out_width: int, out_height: int, filter: Filter, region: Sequence[int] | None = None
) -> _Box: ...
def resample(
    image: npt.ArrayLike,
    out_width: int,
    out_height: int,
    filter: Filter,
    region: Sequence[int] | None = None,
    simd: str = "scalar",
) -> npt.NDArray[np.uint8]:
    """Horizontal pass first, then vertical."""

def pack(image: npt.ArrayLike, target: Target, hflip: bool, vflip: bool, simd: str = "scalar") -> npt.NDArray[Any]: ...
def pad(
    image: npt.ArrayLike, left: int, top: int, right: int, bottom: int, mode: PadMode, fill: Sequence[int]
) -> npt.NDArray[np.uint8]: ...
def flip(image: npt.ArrayLike, horizontal: bool, vertical: bool) -> npt.NDArray[np.uint8]: ...
def compact(image: npt.ArrayLike, window: Sequence[int], simd: str = "scalar") -> tuple[int, npt.NDArray[np.uint8]]:
    """How many channels were kept, and a window of it."""

def grayscale(image: npt.ArrayLike, simd: str = "scalar") -> npt.NDArray[np.uint8]: ...
def recolour(
    image: npt.ArrayLike, recolour: Recolour, region: Sequence[int] | None = None, simd: str = "scalar"
) -> npt.NDArray[np.uint8]:
    """The region of the image with its colours changed."""

def warp(
    image: npt.ArrayLike,
    by: Sequence[float],
    filter: Filter,
    out_width: int,
    out_height: int,
    fill: Sequence[int] = [0, 0, 0],
    region: Sequence[int] | None = None,
    simd: str = "scalar",
) -> npt.NDArray[np.uint8]:
    """Pillow's Image.transform: affine by six numbers, a perspective by eight."""

def cmyk_to_rgb(image: npt.ArrayLike) -> npt.NDArray[np.uint8]: ...

class JpegError(Exception):
    """args: (name of the code, message)"""

def jpeg_header(data: bytes, max_pixels: int = 0) -> tuple[int, int, bool]:
    """(width, height, ends_well) of a JPEG in memory."""

def libjpeg_version() -> str: ...
def jpeg_entropies() -> list[str]: ...
def jpeg_decode(
    data: bytes, window: _Box | None = None, max_pixels: int = 0, entropy: str | None = None, simd: str | None = None
) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3] of a JPEG in memory, or of a window (x, y, width, height) of it."""

def jpeg_entries(data: bytes, every: int, entropy: str | None = None) -> bytes | None:
    """The record of entry points before every K-th MCU (0: one a row) of a JPEG, or None."""

def jpeg_decode_entered(
    data: bytes, record: bytes, window: _Box | None = None, entropy: str | None = None, simd: str | None = None
) -> tuple[npt.NDArray[np.uint8], int]:
    """(what jpeg_decode gives, how many of the bytes were looked at)."""

def jpeg_entry_points(record: bytes) -> tuple[int, int, int, int, int, int, int, int, list[tuple[int, list[int]]]]:
    """(width, height, K, MCUs a row, rows of MCUs, scan's offset and bytes, its last bit, [(bit, DC values)])."""

def jpeg_sequential(data: Buffer, max_pixels: int) -> tuple[bytes, bool] | None:
    """(bytes, whether it was so before): a JPEG of the same coefficients in one scan, or None."""

def jpeg_coefficients(
    data: bytes, window: _Box | None = None, record: bytes | None = None
) -> tuple[npt.NDArray[np.int16], list[tuple[int, int, int, int, int, int]]] | None:
    """(numbers, planes): the coefficients that a window (x, y, width, height) of a JPEG depends on, or None."""

class Arrival:
    """Bytes that are promised; an engine's thread waits for them."""
    def __init__(self) -> None: ...
    def fulfil(self, data: Buffer, cache_name: str = "", version: str = "") -> bool:
        """The bytes, which are kept and not copied, and what was learned of them as they came: what a cache knows
        them by, and their version. False: it had ended before.
        """
    def fail(self, why: str) -> bool:
        """They do not come. False: it had ended before."""
    def give_up(self) -> None:
        """Nobody wants them any more."""
    def wait(self, timeout_s: float) -> bool:
        """True once it has ended."""
    @property
    def given_up(self) -> bool: ...
    @property
    def late(self) -> bool:
        """Somebody had to wait."""

class HttpBody(Buffer):
    """Bytes that came, in memory that is used again."""
    def __len__(self) -> int: ...

def http_exchange(
    fd: int, request: bytes, is_whole: bool
) -> tuple[str, tuple[str, dict[str, str]], bytes, HttpBody | None]:
    """(what went wrong or nothing, (the first line, headers by names in small letters), what came behind the head,
    body or None). OSError.
    """

def http_head(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line, and the headers by names in small letters."""

class HttpEnded:
    """What came of a request."""
    @property
    def number(self) -> int: ...
    @property
    def why(self) -> str:
        """What went wrong; or empty."""
    @property
    def error(self) -> int:
        """The system's, where it broke."""
    @property
    def is_plain(self) -> bool:
        """All of the bytes that were asked for have come, and nothing else."""
    @property
    def body(self) -> HttpBody | None:
        """None: it was not read."""
    @property
    def size(self) -> int:
        """Of the whole object; -1: not told."""
    @property
    def version(self) -> str:
        """The ETag, or when it was changed, or empty."""
    @property
    def closes(self) -> bool:
        """Nothing more can be asked on this connection."""
    @property
    def head(self) -> tuple[str, dict[str, str]]:
        """(the first line, headers by names in small letters)"""

class HttpLoop:
    """Requests on many connections at once, on the thread that runs it."""
    def __init__(self, patience_s: float) -> None:
        """OSError where the system has no more descriptors."""
    def begin(self, number: int, fd: int, request: bytes, first: int, length: int) -> None:
        """For bytes [first, first + length), -1: all from there on. The socket is nobody else's until it has
        ended.
        """
    def run(self) -> list[HttpEnded]:
        """Until some have ended, or somebody wakes it: [HttpEnded]."""
    def wake(self) -> None:
        """From any thread."""

class BatchMemory:
    """Blocks of memory for batches, taken when a batch is first written."""
    def __init__(self, grow: Callable[[int, int, list[int]], npt.NDArray[np.uint8]]) -> None:
        """Of grow(id, bytes, ids that are gone), which gives uint8."""
    def give(self, id: int) -> None:
        """Block `id` is nobody's again."""
    def forget(self, id: int) -> None:
        """Block `id` is the caller's for good."""

class Cache:
    """Samples in shared memory, their bytes or their pixels."""
    @staticmethod
    def create(name: str, *, decoded: bool, bytes: int, samples: int) -> Cache: ...
    @staticmethod
    def join(fd: int, *, decoded: bool) -> Cache:
        """Of a descriptor, which is the cache's then."""
    def contains(self, source: _Source, name: str | None = None, *, variant: int = 0) -> bool:
        """Whether it need not be read; what is there stays."""
    @property
    def is_decoded(self) -> bool: ...
    @property
    def fd(self) -> int: ...
    @property
    def capacity(self) -> int:
        """In bytes."""
    @property
    def used(self) -> int:
        """In bytes."""
    @property
    def samples(self) -> int: ...
    @property
    def is_full(self) -> bool:
        """Whether something was turned away."""

class RecordLog:
    """Records that this process makes."""
    def __init__(self, folder: _Path, name: _Path) -> None:
        """A file of that name, which comes, with the folder, when the first record is added."""
    @property
    def records(self) -> int: ...
    @property
    def path(self) -> Path: ...
    def end(self) -> None:
        """No more are added; whoever merges may have them."""
    @property
    def is_open(self) -> bool:
        """Whether more would be added."""

class EntryStore:
    """Records of entry points, of all roots of a data set."""
    def __init__(
        self,
        roots: Sequence[tuple[_Path, Sequence[tuple[_Path, int, int, int, int]], RecordLog | None]],
        *,
        every: int,
        verifies: bool,
        keeps: bool = False,
    ) -> None:
        """Of roots (prefix, [(path, slots_at, slots, records_at, records_bytes), the newest first], log or None).
        keeps: records that are there stay, whatever their K.
        """
    def knows(self, source: Any) -> bool:
        """Whether there is a record of this version of what comes from afar."""
    def count_known(self, sources: list[Any]) -> int:
        """How many of these have a record, whether it holds or not."""
    def make(self, sources: list[Any], threads: int) -> tuple[int, int, int, int, int, int]:
        """Makes the records that are not there: (made, known, none to be had, failed, bytes read, replaced)."""
    @property
    def spacings(self) -> list[tuple[int, int]]:
        """Of some records in each file (K, MCUs in a row)."""

class EntryMerge:
    """Records of several files as those of one."""
    def __init__(self) -> None: ...
    def add(self, path: _Path, at: int = 0, size: int = -1) -> None:
        """A file, newer than those before."""
    def finish(self) -> None: ...
    @property
    def records(self) -> int: ...
    @property
    def size(self) -> int:
        """Of all records, in bytes."""
    @property
    def slots(self) -> npt.NDArray[np.uint64]: ...
    def next(self) -> bytes:
        """The next bytes of the records; empty at the end."""

def make_images(
    block: npt.NDArray[np.uint8], works_at: int, scratch_bytes: int, out: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32]:
    """What a GPU would make of a batch's windows, on this machine: int32 [images], what went wrong with each."""

def device_window(data: bytes, window: _Box, record: bytes | None = None) -> tuple[npt.NDArray[np.uint8], int] | None:
    """For tests: a window as make_images() makes it, of coefficients or, with a record, of codes: (pixels, what
    went wrong).
    """

def kernel_sources() -> dict[str, str]:
    """{name: text} of the kernels' sources; the last is the one to compile."""

def kernel_sizes() -> dict[str, int]:
    """Bytes: what the threads that read codes share, what each of them has, and each of a batch's blocks but the
    last.
    """

class Leave(_Enum):
    """What a batch leaves to somebody else."""

    nothing: ClassVar[Leave]
    bytes: ClassVar[Leave]  # Files, to another decoder.
    windows: ClassVar[Leave]  # What makes the pixels of windows, codes or coefficients, to whoever can make them.

class Batch:
    """A batch under way."""
    def take_block(self) -> int:
        """The id of the block that holds the images, -1 if none was needed; it is the caller's to give back."""
    def wait(self, timeout_s: float = -1.0) -> bool:
        """True once done; negative: without limit."""
    def wait_planned(self, timeout_s: float = -1.0) -> bool:
        """True once deferred() may be asked; negative: without limit."""
    @property
    def done(self) -> bool: ...
    @property
    def remaining(self) -> int:
        """Samples that are not done."""
    @property
    def finished_at(self) -> float:
        """When it was done, in seconds of time.monotonic(); read it when done."""
    @property
    def failures(self) -> list[tuple[int, str, str]]:
        """[(slot, code, message)]; read it when done."""
    @property
    def generators_after(self) -> Streams:
        """A copy of the order's generators as this batch left them; read it when done."""
    @property
    def deferred_pixels(self) -> int:
        """Of the images in deferred()."""
    @property
    def deferred_count(self) -> int:
        """Samples of which something was left, once the batch is done."""
    @property
    def deferred_taps(self) -> int: ...
    def deferred(
        self, taps: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], list[npt.NDArray[np.uint8]]]:
        """What was left to another decoder: (samples, passes, encoded); fills `taps` (int32, deferred_taps
        elements).
        """
    def windows(self) -> tuple[list[tuple[int, int]], int, int, tuple[int, int, int, int]]:
        """What was left as windows, once the batch is done; once: (slabs: [(block, used)], place of the works,
        bytes of scratch memory, (intervals, blocks, columns of the window, rows between the passes: the most of
        an image)).
        """
    @property
    def left_samplings(self) -> list[int]:
        """Of the samples in windows(): 10 x columns + rows of luminance for one of chroma; 0: gray; each once."""
    @property
    def left_codes(self) -> int:
        """Samples in windows() whose codes nobody has read yet."""
    @property
    def kept(self) -> dict[str, int]:
        """{reason: samples decoded here for it}, where something is left."""
    @property
    def mixing(self) -> tuple[int, float]:
        """What mix() drew: (which, lambda); read it when done."""
    @property
    def fallbacks(self) -> int: ...
    @property
    def cached(self) -> int:
        """Samples that the cache had."""
    @property
    def slowest(self) -> tuple[int, float, float]:
        """(slot of the sample that took longest, its seconds, those of all), without waits for other samples'
        draws.
        """
    @property
    def entries(self) -> tuple[int, int, int]:
        """Samples decoded by entry points, those of which some were kept, those whose were of no use."""
    @property
    def stage_seconds(self) -> dict[str, float]: ...

class Engine:
    """A fixed pool of threads that turns sources into batches."""
    def __init__(self, threads: int, niceness: int = 0) -> None: ...
    def submit(
        self,
        sources: list[Any],
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
        load: Callable[..., npt.NDArray[np.uint8] | None] | None,
        leave: Leave = Leave.nothing,
        cache: Cache | None = None,
        cache_names: list[str | None] | None = None,
        cache_variant: int = 0,
        entries: EntryStore | None = None,
        mix: Callable[[Mt19937], Any] | None = None,
        mix_stage: str = "",
    ) -> Batch: ...
    def take_back(self, batch: Batch, slots: Sequence[int]) -> None:
        """Decodes here those of the slots that the batch left to somebody else; the batch is then done once more."""
    def end(self) -> None:
        """Cancels batches under way. The threads end when they are through with their samples."""
    def stop(self, patience_s: float = 2.0) -> None:
        """The same, and waits for them, but not for one that takes longer: that is left behind."""
    @property
    def is_forked_copy(self) -> bool:
        """Whether the threads belong to a parent process."""
    @property
    def threads(self) -> int: ...
    def run_on(self, threads: int) -> None:
        """So many of the threads take up samples from now on; the others rest. Batches stay the same."""
    @property
    def running_threads(self) -> int: ...
    @property
    def samples_made(self) -> int:
        """Since the start, whatever came of them."""
    @property
    def niceness(self) -> int:
        """By how much the threads give way to others."""

class Column:
    """Memory of one array of each sample of a batch."""
    @property
    def block(self) -> Any: ...
    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """Of one array."""
    @property
    def held(self) -> int:
        """Arrays in it that somebody still holds."""
    @property
    def is_apart(self) -> bool:
        """Nobody else sees what is written here: there was a fork."""
    @staticmethod
    def set_all_apart() -> None:
        """Before a fork: a child gets a copy of all of this process."""

class Places:
    """Where the samples of one batch are written."""
    def __init__(self, take: Callable[[int], tuple[Any, int, int] | None], count: int) -> None:
        """take(nbytes) gives (what owns a block of shared memory, its address, its descriptor), or None."""
    def begin(self, sample: int) -> None:
        """The arrays that come now are this sample's."""
    def one_each(self) -> None:
        """From now on each array is the next sample's."""
    @property
    def columns(self) -> list[Column]: ...

class TorchDraw:
    """What was drawn from torch's generator for one sample."""
    def undo(self) -> None:
        """As if nothing had been drawn, unless others have drawn since."""

class OpenSample:
    """A sample that a Reader has opened: drawn once, then read once."""
    def draw(self, recipe: Recipe, generators: Streams) -> bool:
        """False: a transform refuses it."""
    def draw_from(self, recipe: Recipe, generator: Any) -> TorchDraw | None:
        """From torch's generator, which goes on from there. None: a transform refuses it, and nothing was drawn."""
    def draw_indexed(self, recipe: Recipe, seed: int, epoch: int, index: int) -> bool: ...
    def read(self, target: Target, places: Places | None = None) -> npt.NDArray[Any] | None:
        """As an array of the target's element and layout; None: it cannot be made natively."""
    @property
    def was_cached(self) -> bool: ...
    @property
    def entries(self) -> tuple[bool, bool, bool]:
        """Whether it is decoded by entry points, whether some were kept, whether they were of no use."""

class Reader:
    """One sample at a time on the calling thread, whichever."""
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
    ) -> OpenSample | None:
        """None: it cannot be made natively, and there is no load(encoded) that gives its pixels."""

def read_file(descriptor: int, most: int) -> bytes | None:
    """All of a regular file of up to so many bytes, wherever it stands; None: it is none."""

class StepKind(_Enum):
    crop: ClassVar[StepKind]
    resize: ClassVar[StepKind]
    flip_horizontal: ClassVar[StepKind]
    flip_vertical: ClassVar[StepKind]
    transpose: ClassVar[StepKind]
    grayscale: ClassVar[StepKind]
    box_blur: ClassVar[StepKind]
    recolour: ClassVar[StepKind]

class Plan:
    """What is to be done to an image: which window of it is decoded, and what follows."""
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...

class LazyJpeg:
    """The bytes of a JPEG that Pillow is sure to accept."""
    @staticmethod
    def of(data: bytes, max_pixels: int) -> LazyJpeg | None:
        """None: these are none, or have more pixels (0: no limit)."""
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def is_gray(self) -> bool: ...
    @property
    def has_pixels(self) -> bool: ...
    def keep_pixels(self, reader: Reader) -> bool:
        """Decodes all of them, once. False: that cannot be done."""
    def draw(self, steps: Sequence[_NotedStep], recipe: Recipe, generators: Streams) -> Plan | None:
        """Of steps (kind, (x, y, width, height) | None, filter | None), then the recipe. None: one of them
        refuses.
        """
    def draw_from(self, steps: Sequence[_NotedStep], recipe: Recipe, generator: Any) -> tuple[Plan, TorchDraw] | None:
        """The same from torch's generator, which goes on from there: the plan, and what undoes it. None: then
        nothing was drawn.
        """
    def values(
        self, reader: Reader, plan: Plan, target: Target, places: Places | None = None
    ) -> npt.NDArray[Any] | None:
        """In the target's element and layout; None: damaged."""
    def draw_each(
        self, steps: Sequence[_NotedStep], recipes: Sequence[Recipe], generators: Streams
    ) -> list[Plan] | None:
        """draw() of one recipe after the other, each of the image itself."""
    def values_of_each(
        self, reader: Reader, plans: Sequence[Plan], targets: Sequence[Target], places: Places | None = None
    ) -> list[npt.NDArray[Any]] | None:
        """values() by each of the plans; None: damaged."""
    def rgbx(self, reader: Reader, plan: Plan, fourth: int) -> npt.NDArray[np.uint8] | None:
        """uint8 [height, width, 4], the last byte of each pixel as given; None: damaged."""
    def packed(self, reader: Reader, plan: Plan, channels: int) -> bytes | None:
        """The bytes of 3 channels, or of the first; None: damaged."""

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
):
    """Of the first bytes of a JPEG: size, mode, layers, layer, quantization, app, applist, icclist, info, where
    its EXIF data begin, where the first scan does. None: Pillow is to be asked.
    """

class AsTheyAre:
    """Some objects as they are now."""
    def __init__(
        self, things: list[Any], classes: list[Any], dicts: list[Any], lists: list[Any], empty: list[Any]
    ) -> None:
        """Things of their classes, classes and all that they have, dictionaries, lists, and what has no elements."""
    def hold(self) -> bool:
        """False: something has changed, or that cannot be told here."""

class Versions:
    """Whether dictionaries and classes may have changed since they were looked at."""
    def __init__(self, owners: list[Any]) -> None: ...
    def now(self) -> bytes | None:
        """What is another after every change; None: that cannot be told."""

_NotedStep = tuple[
    StepKind,
    _Box | None,
    Filter | None,
    tuple[float, float] | None,
    Recolour | None,
    tuple[float, float, float, float] | None,
]
