from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("pyarrow")
from pellucid.errors import IndexStateError
from pellucid.search.rows import Row
from pellucid.search.staging import Staging
from pellucid.tables.vector_columns import dense_column, dense_type

TYPE = dense_type(4)


def rows(*numbers):
    return [Row("a.txt", "", 1, 1, "", 0, 1, 1, 1, f"word{number}", str(number)) for number in numbers]


def vectors(*numbers):
    return dense_column(np.array([[number] * 4 for number in numbers], dtype=np.float32))


def known(staging):
    """The vectors that it has, by digest."""
    return {digest: vector.to_pylist()[0] for digest, vector in staging.vectors().items()}


def test_another_process_finds_the_vectors_and_takes_no_rows(tmp_path):
    first = Staging(tmp_path, "space", TYPE)
    first.add(rows(1, 2), vectors(1, 2))
    first.add(rows(3), vectors(3))
    second = Staging(tmp_path, "space", TYPE)
    assert second.is_empty()
    assert known(second) == {str(number): [number] * 4 for number in (1, 2, 3)}
    assert list(second.batches()) == []
    assert [batch["digest"].to_pylist() for batch in first.batches()] == [["1", "2"], ["3"]]


def test_vectors_of_another_space_are_not_found(tmp_path):
    Staging(tmp_path, "space", TYPE).add(rows(1), vectors(1))
    assert Staging(tmp_path, "other", TYPE).vectors().keys() == set()


def test_a_damaged_file_is_not_used(tmp_path):
    staging = Staging(tmp_path, "space", TYPE)
    staging.add(rows(1), vectors(1))
    staging.add(rows(2), vectors(2))
    damaged = next(path for path in (tmp_path / "staged").iterdir() if "-0-" in path.name)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    found = staging.vectors()
    assert found.keys() == {"2"}
    assert "1" not in found
    with pytest.raises(OSError, match="was changed by another program"):
        list(staging.batches())


def test_what_the_index_has_is_cleared_and_what_others_kept_stays(tmp_path):
    first, second = Staging(tmp_path, "space", TYPE), Staging(tmp_path, "space", TYPE)
    first.add(rows(1), vectors(1))
    second.add(rows(2), vectors(2))
    first.clear_own()
    assert first.is_empty()
    assert first.vectors().keys() == {"2"}
    second.clear_own()
    assert not (tmp_path / "staged").exists()


def test_chunks_of_some_files_are_removed_whoever_kept_them(tmp_path):
    first, second = Staging(tmp_path, "space", TYPE), Staging(tmp_path, "other", TYPE)
    both = [rows(1)[0], dataclasses.replace(rows(2)[0], file="b.txt")]
    first.add(both, vectors(1, 2))
    first.add(rows(3), vectors(3))
    second.add(both, vectors(1, 2))
    reader = Staging(tmp_path, "space", TYPE)
    assert reader.files() == {"a.txt", "b.txt"}
    reader.remove({"a.txt"})
    assert known(reader) == {"2": [2] * 4}
    assert second.vectors().keys() == {"2"}
    assert reader.files() == {"b.txt"}
    for path in (tmp_path / "staged").iterdir():
        path.write_bytes(b"damaged")
    reader.remove([])
    assert not (tmp_path / "staged").exists()


def test_a_file_that_changes_while_it_is_used_is_reported(tmp_path):
    first = Staging(tmp_path, "space", TYPE)
    first.add(rows(1), vectors(1))
    found = Staging(tmp_path, "space", TYPE).vectors()
    first.clear_own()
    with pytest.raises(IndexStateError, match=r"was changed by another program\. Run the same command again"):
        found["1"]
