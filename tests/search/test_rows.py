from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.search.rows import Row, from_record, schema_of, to_table

arrow = pytest.importorskip("pellucid.tables.arrow")
from pellucid.tables.vector_columns import dense_column, dense_type  # noqa: E402

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**62)
ROWS = st.builds(Row, TEXTS, TEXTS, NUMBERS, NUMBERS, TEXTS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, TEXTS, TEXTS)


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_rows_and_vectors_come_back_as_they_were(rows):
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4)).astype(np.float32)
    records = to_table(rows, dense_column(vectors)).to_pylist()
    assert [from_record(record) for record in records] == rows
    assert [record["vector"] for record in records] == vectors.tolist()


def test_columns_are_put_in_order():
    row = Row("f", "d", 1, 2, "p", 3, 4, 5, 6, "t", "e")
    table = to_table([row], dense_column(np.ones((1, 4), dtype=np.float32)))
    shuffled = table.select(table.schema.names[::-1])
    assert arrow.stream(shuffled.to_batches(), schema_of(dense_type(4))).read_all() == table
    assert asdict(from_record(shuffled.to_pylist()[0])) == asdict(row)
