"""What may happen to a file on its way, for hypothesis."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st


def damaged(data: Any, whole: bytes, first: int) -> bytes:
    """A JPEG with some bits, bytes or pieces changed, lost or added behind ``first``; it still ends as one."""
    made = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(min(first, len(made) - 3), len(made) - 3))
        match data.draw(st.sampled_from(["flip", "byte", "cut", "insert"])):
            case "flip":
                made[at] ^= 1 << data.draw(st.integers(0, 7))
            case "byte":
                made[at] = data.draw(st.sampled_from([0, 0x55, 0xD0, 0xFE, 0xFF]))
            case "cut":
                del made[at : at + data.draw(st.integers(1, 200))]
                made += b"\xff\xd9"
            case _:
                made[at:at] = data.draw(st.binary(max_size=20))
    return bytes(made)
