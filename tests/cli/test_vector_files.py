from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid.cli import multi_vectors, sparse, vectors
from pellucid.errors import OptionError
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import MultiVectors

DENSE = np.array([[1, 2.5], [0, -3]], dtype=np.float32)
MULTI = MultiVectors(DENSE, np.array([0, 2, 2], dtype=np.int32))
KINDS = {
    "dense": (vectors.FORMAT, DENSE, "2 vectors of 2 numbers"),
    "sparse": (sparse.FORMAT, SparseVectors.from_dense(DENSE), "2 sparse vectors with 3 numbers in 2 dimensions"),
    "multi-vector": (multi_vectors.FORMAT, MULTI, "2 vectors of 2 numbers, for 2 texts,"),
}
LINES = {
    "dense": [{"vector": [1, 2.5]}, {"vector": [0, -3]}],
    "sparse": [{"indices": [0, 1], "values": [1, 2.5]}, {"indices": [1], "values": [-3]}],
    "multi-vector": [{"vectors": [[1, 2.5], [0, -3]]}, {"vectors": []}],
}
TEXTS = ["a", "b"]


def windows_of(found):
    """The first window is empty, as in the command."""
    return [([], found[:0]), (TEXTS[:1], found[:1]), (TEXTS[1:], found[1:])]


@pytest.mark.parametrize("kind", KINDS)
def test_lines_of_json(kind, tmp_path):
    written_as, found, what = KINDS[kind]
    expected = [
        {"index": n, "text": text} | line for n, (text, line) in enumerate(zip(TEXTS, LINES[kind], strict=True))
    ]
    assert [json.loads(line) for line in written_as.json_lines(windows_of(found))] == expected
    out = tmp_path / "out.jsonl"
    assert written_as.write(out, windows_of(found)) == what
    assert [json.loads(line) for line in out.read_text().splitlines()] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_numpys(kind, tmp_path):
    written_as, found, what = KINDS[kind]
    out = tmp_path / f"out{written_as.numpy_ending}"
    assert written_as.write(out, windows_of(found)) == what
    loaded = np.load(out)
    if kind == "dense":
        np.testing.assert_array_equal(loaded, DENSE)
    elif kind == "sparse":
        assert (loaded["shape"].tolist(), loaded["format"].item()) == ([2, 2], b"csr")
        assert [loaded[name].tolist() for name in ("data", "indices", "indptr")] == [[1, 2.5, -3], [0, 1, 1], [0, 2, 3]]
    else:
        np.testing.assert_array_equal(loaded["vectors"], DENSE)
        assert loaded["offsets"].tolist() == [0, 2, 2]
    assert not written_as.keeps_columns(out)
    assert written_as.keeps_columns(tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("dense", "out.npz", r"the ending must be \.npy, \.jsonl or \.parquet"),
        ("sparse", "out.npy", r"one dense array\. For sparse vectors, the ending must be \.npz, \.jsonl or \.parquet"),
        ("multi-vector", "out.npy", "For several vectors for each text, the ending must be"),
        ("multi-vector", "out.csv", r"the ending must be \.npz"),
        ("sparse", "missing/out.npz", "there is no folder"),
    ],
)
def test_names_that_are_refused(kind, name, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        KINDS[kind][0].check_output(tmp_path / name)
