"""Thrift's compact form, in which Parquet tells of its values -> numbers, bytes, lists, and fields by their numbers."""

from __future__ import annotations

from typing import Any

_DEEPEST = 16


class UnreadPages(ValueError):
    """A Parquet file whose values are not to be found this way."""


def read_struct(data: bytes, at: int = 0, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of the structure that begins there, and where it ends. Raises IndexError where it is cut, and UnreadPages."""
    if depth > _DEEPEST:
        raise UnreadPages("structures too deep in each other")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        kind = head & 15
        fields[number], at = (kind == 1, at) if kind in (1, 2) else _value(data, at, kind, depth)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends. Raises IndexError where it is cut, and UnreadPages."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise UnreadPages("a number of more than 64 bits")


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2, 3):  # in a list a truth value is a byte
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _zigzag(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = read_varint(data, at)
        if at + length > len(data):
            raise IndexError("cut")
        return data[at : at + length], at + length
    if kind in (9, 10):
        return _list(data, at, depth + 1)
    if kind == 12:
        return read_struct(data, at, depth + 1)
    raise UnreadPages(f"a value of kind {kind}")


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    head = data[at]
    count, at = head >> 4, at + 1
    if count == 15:
        count, at = read_varint(data, at)
    if count > len(data) - at or depth > _DEEPEST:
        raise IndexError("cut")
    values = []
    for _ in range(count):
        value, at = _value(data, at, head & 15, depth)
        values.append(value)
    return values, at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at
