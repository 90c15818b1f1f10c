"""Codes of any table: ours against libjpeg's, on scans that are written here, code by code."""

from __future__ import annotations

import numpy as np
import pytest
from jpeg_codes import coded_jpeg

from fastload import _core

OURS = [name for name in _core.jpeg_entropies() if name != "libjpeg"]


@pytest.mark.parametrize("entropy", OURS)
@pytest.mark.parametrize("most", [2, 20, 63])
@pytest.mark.parametrize("largest", [2, 10, 15])
@pytest.mark.parametrize("shortest", [1, 2, 9, 11])
def test_every_table_is_read_as_libjpeg_reads_it(shortest, largest, most, entropy):
    for seed in range(25):
        data = coded_jpeg(seed, shortest, largest, most)
        expected = _core.jpeg_decode(data, entropy="libjpeg")
        np.testing.assert_array_equal(_core.jpeg_decode(data, entropy=entropy), expected, err_msg=f"seed {seed}")
