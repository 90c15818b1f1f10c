"""TFRecord files by hand, as the protobuf specification has them; and records of a class folder."""

from __future__ import annotations

import struct
from pathlib import Path

from fastload.shards import Record


def crc32c(data: bytes) -> int:
    """Bit by bit, as the standard defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def framed(data: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(data) if length is None else length)
    return head + masked(head) + data + masked(data)


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def bytes_list(*values: bytes) -> bytes:
    return field(1, b"".join(field(1, value) for value in values))


def ints(*values: int, packed: bool = True) -> bytes:
    if packed:
        return field(3, field(1, b"".join(map(varint, values))))
    return field(3, b"".join(b"\x08" + varint(value) for value in values))


def floats(*values: float, packed: bool = True) -> bytes:
    parts = [struct.pack("<f", value) for value in values]
    return field(2, field(1, b"".join(parts)) if packed else b"".join(b"\x0d" + part for part in parts))


def example(*features: tuple[str, bytes]) -> bytes:
    return field(1, b"".join(field(1, field(1, name.encode()) + field(2, value)) for name, value in features))


def folder_records(root: Path) -> tuple[list[Record], list[str]]:
    """Of a class folder, as ImageFolder lists it."""
    classes = sorted(path.name for path in root.iterdir() if path.is_dir())
    records = [
        Record(f"{name}/{path.name}", path.read_bytes(), number, name)
        for number, name in enumerate(classes)
        for path in sorted((root / name).iterdir())
    ]
    return records, classes
