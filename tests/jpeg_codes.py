"""Scans of JPEGs that are written here, code by code, with tables and coefficients that no encoder would choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jpeg_forms import segment

BLOCK_END, SIXTEEN_ZEROS = 0x00, 0xF0
LONGEST = 16


def code_lengths(rng: np.random.Generator, count: int, shortest: int) -> list[int]:
    """As long as any Huffman code may be, for up to ``count`` symbols; the code of ones alone stays free."""
    lengths: list[int] = []
    used, ones = 0.0, 2.0**-LONGEST
    for length in np.sort(rng.integers(shortest, LONGEST + 1, count)):
        if used + 2.0 ** -int(length) <= 1 - ones:
            lengths.append(int(length))
            used += 2.0 ** -int(length)
    return lengths


class Table:
    """Symbols with their codes."""

    def __init__(self, rng: np.random.Generator, symbols: list[int], must: list[int], shortest: int) -> None:
        chosen = [*must, *(int(s) for s in rng.permutation([s for s in symbols if s not in must]))]
        lengths = code_lengths(rng, len(chosen), shortest)
        chosen = [int(s) for s in rng.permutation(chosen[: len(lengths)])]
        self.lengths, self.symbols = lengths, chosen
        self.codes: dict[int, str] = {}
        code, last = 0, lengths[0]
        for symbol, length in zip(chosen, lengths, strict=True):
            code <<= length - last
            self.codes[symbol] = format(code, f"0{length}b")
            code, last = code + 1, length

    def segment(self, number: int) -> bytes:
        counts = [self.lengths.count(n) for n in range(1, LONGEST + 1)]
        return segment(0xC4, bytes([number, *counts, *self.symbols]))


def value_bits(rng: np.random.Generator, size: int) -> str:
    return format(int(rng.integers(1 << size)), f"0{size}b") if size else ""


def block(rng: np.random.Generator, dc: Table, ac: Table, most: int) -> str:
    """Codes of one: up to ``most`` of them, whatever the table has that fits."""
    bits, k = "", 1
    size = int(rng.choice(dc.symbols))
    bits += dc.codes[size] + value_bits(rng, size)
    for _ in range(int(rng.integers(most + 1))):
        symbol = int(rng.choice(ac.symbols))
        zeros, size = symbol >> 4, symbol & 15
        if symbol == BLOCK_END or k + zeros + 1 > 63:
            continue
        bits += ac.codes[symbol] + value_bits(rng, size)
        k += zeros + 1
    if k <= 63 and 64 - k <= 16 and rng.random() < 0.5:  # up to the last place, after which no code says so
        last = [s for s in ac.symbols if s >> 4 == 63 - k and s & 15]
        if last:
            symbol = int(rng.choice(last))
            return bits + ac.codes[symbol] + value_bits(rng, symbol & 15)
    return bits + ac.codes[BLOCK_END]


def coded_jpeg(seed: int, shortest: int, largest: int, most: int, quantizers: Sequence[int] = (1,) * 64) -> bytes:
    """A gray JPEG of tables that no encoder would choose. ``largest``: bits of a coefficient; ``most``: codes a block."""
    rng = np.random.default_rng(seed)
    dc = Table(rng, list(range(min(largest, 11) + 1)), [0], 1)
    coefficients = [zeros << 4 | size for zeros in range(16) for size in range(1, largest + 1)]
    ac = Table(rng, [*coefficients, SIXTEEN_ZEROS], [BLOCK_END], shortest)
    columns, rows = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    bits = "".join(block(rng, dc, ac, most) for _ in range(columns * rows))
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    height, width = (8 * rows).to_bytes(2, "big"), (8 * columns).to_bytes(2, "big")
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, bytes([0, *quantizers])),
            segment(0xC0, bytes([8, *height, *width, 1, 1, 0x11, 0])),
            dc.segment(0x00),
            ac.segment(0x10),
            segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0])),
            scan,
            b"\xff\xd9",
        ]
    )
