"""A number as protobuf writes it: seven bits a byte, the lowest first."""

from __future__ import annotations


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
