"""Sources that conversions are tried on, and what a folder holds."""

from __future__ import annotations

import importlib.util
import io
import random
from pathlib import Path

import PIL.Image

from fastload import conversion
from images import jpeg_bytes

# Those whose libraries are installed.
LIBRARIES = {"parquet": "pyarrow", "lmdb": "lmdb"}
FORMATS = [to for to in conversion.FORMATS if to not in LIBRARIES or importlib.util.find_spec(LIBRARIES[to])]

# As real sets have them, and worse: class, name.
ODD = [
    ("a class", "a file.jpg"),
    ("a class", "001.jpg"),
    ("größe", "größe.jpg"),
    ("日本", "001.jpg"),
    ("v1.2", "001.jpg"),
    ("v1.2", "001.small.jpg"),
    ("v1.2", ".hidden.jpg"),
    ("zoo", "no_ending"),
    ("zoo", "deeper/than/most/001.jpg"),
    ("zoo", "UPPER.JPEG"),
    ("zoo", "x" * 120 + ".jpg"),
    ("zoo", "__meta__.jpg"),
]


def odd_folder(root: Path) -> Path:
    """Names that formats find hard; a PNG that is called .jpg; a class without images."""
    for number, (class_name, name) in enumerate(ODD):
        put(root, f"{class_name}/{name}", jpeg_bytes(number, 40, 30))
    put(root, "zoo/really_png.jpg", png_bytes())
    (root / "empty").mkdir()
    return root


def plain_folder(root: Path, count: int = 24, classes: int = 3, seed: int = 0) -> Path:
    """Files that begin as JPEGs do, of many lengths: bytes are all that most conversions look at."""
    random.seed(seed)
    for number in range(count):
        put(
            root,
            f"class{number % classes}/{number:04d}.jpg",
            b"\xff\xd8\xff" + random.randbytes(random.randrange(9000)),
        )
    return root


def put(root: Path, name: str, data: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (5, 4), (250, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def contents(root: Path) -> dict[str, bytes | None]:
    """Every file's bytes, and None for each folder, hidden ones and the report too."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


def images(root: Path) -> dict[str, bytes | None]:
    """The same without the report."""
    return {name: data for name, data in contents(root).items() if name != "fastload.json"}
