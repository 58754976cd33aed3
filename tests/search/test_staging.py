from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pellucid.search.rows import Row
from pellucid.search.staging import Staging

pytest.importorskip("pyarrow")


def rows(*numbers):
    return [Row("a.txt", "", 1, 1, "", 0, 1, 1, 1, f"word{number}", str(number)) for number in numbers]


def vectors(*numbers):
    return np.array([[number] * 4 for number in numbers], dtype=np.float32)


def test_another_process_finds_the_vectors_and_takes_no_rows(tmp_path):
    first = Staging(tmp_path, "space", 4)
    first.add(rows(1, 2), vectors(1, 2))
    first.add(rows(3), vectors(3))
    second = Staging(tmp_path, "space", 4)
    assert second.is_empty()
    assert {digest: vector.tolist() for digest, vector in second.vectors().items()} == {
        str(number): [number] * 4 for number in (1, 2, 3)
    }
    assert list(second.batches()) == []
    assert [batch["digest"].to_pylist() for batch in first.batches()] == [["1", "2"], ["3"]]


def test_vectors_of_another_space_are_not_found(tmp_path):
    Staging(tmp_path, "space", 4).add(rows(1), vectors(1))
    assert Staging(tmp_path, "other", 4).vectors() == {}


def test_a_damaged_file_is_not_used(tmp_path):
    staging = Staging(tmp_path, "space", 4)
    staging.add(rows(1), vectors(1))
    staging.add(rows(2), vectors(2))
    damaged = next(path for path in (tmp_path / "staged").iterdir() if "-0-" in path.name)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert staging.vectors().keys() == {"2"}
    with pytest.raises(OSError, match="was changed by another program"):
        list(staging.batches())


def test_what_the_index_has_is_cleared_and_what_others_kept_stays(tmp_path):
    first, second = Staging(tmp_path, "space", 4), Staging(tmp_path, "space", 4)
    first.add(rows(1), vectors(1))
    second.add(rows(2), vectors(2))
    first.clear_own()
    assert first.is_empty()
    assert first.vectors().keys() == {"2"}
    second.clear_own()
    assert not (tmp_path / "staged").exists()


def test_chunks_of_some_files_are_removed_whoever_kept_them(tmp_path):
    first, second = Staging(tmp_path, "space", 4), Staging(tmp_path, "other", 4)
    both = [rows(1)[0], dataclasses.replace(rows(2)[0], file="b.txt")]
    first.add(both, vectors(1, 2))
    first.add(rows(3), vectors(3))
    second.add(both, vectors(1, 2))
    reader = Staging(tmp_path, "space", 4)
    assert reader.files() == {"a.txt", "b.txt"}
    reader.remove({"a.txt"})
    assert {digest: vector.tolist() for digest, vector in reader.vectors().items()} == {"2": [2] * 4}
    assert second.vectors().keys() == {"2"}
    assert reader.files() == {"b.txt"}
    for path in (tmp_path / "staged").iterdir():
        path.write_bytes(b"damaged")
    reader.remove([])
    assert not (tmp_path / "staged").exists()
