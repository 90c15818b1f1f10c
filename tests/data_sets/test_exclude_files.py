"""Lists of names as editors of other systems write them."""

from __future__ import annotations

import pytest

from fastload.datasets import excluded_names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, encoding):
    path = tmp_path / "bad.txt"
    path.write_bytes("a b.jpg\r\nü.jpg\r\n".encode(encoding))
    assert excluded_names(path) == {"a b.jpg", "ü.jpg"}
    path.write_bytes('"a\\nb.jpg"\r\n'.encode(encoding))
    assert excluded_names(path) == {"a\nb.jpg"}


def test_another_encoding_is_refused_and_excludes_not_nothing(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes("a.jpg\r\n".encode("utf-16"))
    with pytest.raises(ValueError, match="no list of names in UTF-8"):
        excluded_names(path)
