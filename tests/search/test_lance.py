from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("lancedb")
from pellucid.search import lance
from pellucid.search.rows import Row, to_table
from pellucid.tables.vector_columns import dense_column, dense_in

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return lance.connect(tmp_path_factory.mktemp("database"))


def row(number):
    """A chunk. The names of files do not rise with the numbers."""
    return Row(f"{number % 3}.txt", "", 1, 1, "", number, number + 1, 1, 1, f"text {number}", str(number))


def make_table(database, scores, in_parts=1):
    """A table of chunks with vectors of one number, which is their score."""
    table = None
    for part in np.array_split(np.arange(len(scores)), in_parts):
        vectors = dense_column(np.array([[scores[number]] for number in part], dtype=np.float32))
        rows = to_table([row(number) for number in part.tolist()], vectors)
        table = database.create_table(f"t{next(NUMBERS)}", rows) if table is None else (table.add(rows), table)[1]
    return table


def first_number(column):
    return dense_in(column)[:, 0].astype(np.float64)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-2, 3), min_size=1, max_size=40), st.integers(1, 12), st.integers(1, 50), st.integers(1, 3))
def test_a_scan_keeps_the_best_and_equal_ones_in_the_order_of_their_places(database, scores, count, at_a_time, parts):
    table = make_table(database, [*scores, 9, 9], min(parts, len(scores)))
    table.delete(f"digest = '{len(scores)}' OR digest = '{len(scores) + 1}'")
    found = lance.best_by_scan(table, count, first_number, above=-1.0, rows_at_a_time=at_a_time)
    expected = sorted((-score, row(number).file, number) for number, score in enumerate(scores) if score > -1)[:count]
    assert found.scores == [-negative for negative, *_ in expected]
    assert [int(digest) for digest in found.chunks["digest"].to_pylist()] == [number for *_, number in expected]
    assert [vector for (vector,) in found.chunks["vector"].to_pylist()] == found.scores


def test_only_a_few_chunks_are_in_memory_at_a_time(database):
    table = make_table(database, np.arange(100) % 7)
    sizes = []

    def scores(column):
        sizes.append(len(column))
        return first_number(column)

    assert lance.best_by_scan(table, 3, scores, above=0.0, rows_at_a_time=16).scores == [6.0, 6.0, 6.0]
    assert sum(sizes) == 100
    assert max(sizes) <= 16


def test_values_with_quotes_and_many_values_are_found(database):
    table = make_table(database, range(1200))
    names = ["it's", *(str(number) for number in range(1200))]
    parts = list(lance.read_where(table, "digest", names, ["digest"]))
    assert len(parts) == 3
    assert {digest for part in parts for digest in part["digest"].to_pylist()} == {*names[1:]}
    lance.delete_where(table, "digest", names[:1000])
    assert lance.read(table, ["digest"]).num_rows == 201
