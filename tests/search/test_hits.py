from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
from pellucid.search.hits import Hit, fuse, locate
from pellucid.search.rows import Row


def row(number):
    return Row(f"{number}", "", 0, 0, "", 0, 0, 1, 1, "", str(number))


@given(st.lists(st.permutations(range(6)), min_size=1, max_size=4))
def test_fusion_keeps_what_all_agree_on(rankings):
    fused = fuse([[row(number) for number in ranking] for ranking in rankings])
    assert {found.file for found, _ in fused} == set("012345")
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    for found, score in fused:
        ranks = [ranking.index(int(found.file)) + 1 for ranking in rankings]
        assert score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))
    if all(ranking == rankings[0] for ranking in rankings):
        assert [int(found.file) for found, _ in fused] == list(rankings[0])


def indexed(path, name):
    """The row of a file as it is now."""
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Row(name, digest, status.st_size, status.st_mtime_ns, "", 0, 3, 1, 1, "cat", "")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (Path.stat, "unchanged"),
        (lambda path: os.utime(path, ns=(1, 1)), "unchanged"),
        (lambda path: (path.write_text("dog"), os.utime(path, ns=(1, 1))), "changed"),
        (lambda path: path.write_text("a cat"), "changed"),
        (lambda path: (path.unlink(), path.mkdir()), "changed"),
        (lambda path: path.unlink(), "gone"),
        (lambda path: (path.unlink(), path.parent.rmdir(), path.parent.write_text("")), "gone"),
        (lambda path: (path.unlink(), path.symlink_to(path.name)), "unreadable"),
    ],
)
def test_a_file_is_compared_with_what_was_indexed(tmp_path, change, state):
    path = tmp_path / "notes" / "a.txt"
    path.parent.mkdir()
    path.write_text("cat")
    found = indexed(path, "notes/a.txt")
    change(path)
    assert locate(found, {"notes": tmp_path / "notes"}) == (path, state)


def test_an_older_index_does_not_say_where_a_file_is():
    assert locate(row(1), {}) == (None, "unknown")


def test_a_hit_is_json():
    hit = Hit(row(1), 0.03, 0.5, 2, None, Path("/home/notes/1"), "unchanged")
    values = json.loads(json.dumps(hit.to_dict()))
    assert values["path"] == "/home/notes/1"
    assert (values["cosine"], values["vector_rank"], values["text_rank"]) == (0.5, 2, None)
    assert (values["file"], values["first_line"], values["heading"]) == ("1", 1, "")


def test_the_score_of_dense_vectors_is_called_cosine():
    dense = Hit(row(1), 0.03, 0.5, 2, None, None, "unknown")
    other = Hit(row(1), 0.03, 7.5, 2, None, None, "unknown", measure="maxsim")
    assert (dense.cosine, other.cosine) == (0.5, None)
    assert dense.to_dict().items() >= {"cosine": 0.5}.items()
    assert other.to_dict().items() >= {"vector_score": 7.5}.items()
    assert not {"vector_score", "measure"} & dense.to_dict().keys()
    assert not {"cosine", "measure"} & other.to_dict().keys()
