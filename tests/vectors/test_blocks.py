from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.vectors import blocks as module
from pellucid.vectors.blocks import blocks, cosine_blocks


@given(st.integers(0, 50), st.integers(1, 60))
def test_blocks_hold_every_row_once_and_in_order(count, size):
    slices = list(blocks(count, size))
    assert [row for rows in slices for row in range(rows.start, rows.stop)] == list(range(count))
    assert all(rows.stop - rows.start <= size for rows in slices)


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (3, 0), (1, 1), (9, 2), (10, 17)])
def test_every_pair_is_in_one_block_of_few_cosines(monkeypatch, rows, columns):
    monkeypatch.setattr(module, "COSINE_ROWS", 4)
    monkeypatch.setattr(module, "MAX_NUMBERS", 20)
    a, b = np.eye(17, dtype=np.float32)[:rows], np.eye(17, dtype=np.float32)[:columns]
    seen = np.zeros((rows, columns), dtype=int)
    for some_rows, some_columns, cosines in cosine_blocks(a, b):
        seen[some_rows, some_columns] += 1
        assert (cosines == np.eye(rows, columns)[some_rows, some_columns]).all()
        assert cosines.size <= 20
    assert (seen == 1).all()
