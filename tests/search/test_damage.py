from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import pytest

from pellucid import Embedder
from pellucid.errors import IndexStateError, PellucidError
from pellucid.search.damage import ALWAYS_HASHED, first_damaged, record
from pellucid.search.index import Index
from tests import tiny
from tests.search.damages import damage

pytest.importorskip("lancedb")
DAMAGES = int(os.environ.get("PELLUCID_DAMAGES", "40"))
WORDS = ["cat", "dog", "mat", "sat", "zebra"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, notes, and an index of them that was updated once."""
    folder = tmp_path_factory.mktemp("made")
    notes = folder / "notes"
    notes.mkdir()
    for number in range(20):
        words = random.Random(number).choices(WORDS, k=60)
        (notes / f"{number}.txt").write_text(" ".join(words), encoding="utf-8")
    embedder = Embedder(tiny.write_model(folder / "m"))
    index = Index.create(folder / "index", embedder)
    index.update([notes])
    (notes / "1.txt").write_text("okapi", encoding="utf-8")
    (notes / "2.txt").unlink()
    index.update([notes])
    return folder, embedder


def found(folder, embedder):
    index = Index.open(folder, embedder)
    return [[(hit.row, hit.score) for hit in index.search("cat mat", 8, mode=mode)] for mode in ("vector", "text")]


def check(folder, embedder, damaged, seed):
    """Nothing but our own errors, and no other results than the right ones; and made again, the index is sound."""
    expected = found(folder / "index", embedder)
    shutil.copytree(folder / "index", damaged)
    what = damage(damaged, random.Random(seed))
    message = "pellucid index FOLDER --index"
    try:
        assert found(damaged, embedder) == expected, what
        Index.create(damaged, embedder).update([folder / "notes"])
        assert found(damaged, embedder) == expected, what
    except IndexStateError as error:
        message = str(error)
    assert "pellucid index FOLDER --index" in message, what
    try:
        Index.create(damaged, embedder, rebuild=True).update([folder / "notes"])
    except PellucidError:
        assert (damaged / "index.json").is_dir(), what
    shutil.rmtree(damaged)


SCRIPT = """
import sys, pathlib, pellucid
from tests.search.test_damage import check
folder, damaged = map(pathlib.Path, sys.argv[1:3])
embedder = pellucid.Embedder(folder / "m")
for seed in range(int(sys.argv[3])):
    print(seed, flush=True)
    check(folder, embedder, damaged, seed)
"""


def _bound_memory():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))


@pytest.mark.skipif(sys.platform == "win32", reason="limits on memory are POSIX's")
def test_a_damaged_index_gives_our_errors_or_the_right_results(made, tmp_path):
    """In a process of bounded memory, which may crash. Set PELLUCID_DAMAGES for more of them than a short run has."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(made[0]), str(tmp_path / "damaged"), str(DAMAGES)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_bound_memory,
    )
    assert done.returncode == 0, (done.stdout.split()[-1:], done.stderr[-2000:])


class TestRecords:
    def test_a_file_that_changed_is_damaged_and_one_that_is_gone_is_not(self, tmp_path):
        for name in ("a", "b", "c", "d"):
            (tmp_path / name).write_bytes(b"cat")
        records = record(tmp_path, {})
        assert first_damaged(tmp_path, records) is None
        (tmp_path / "a").unlink()
        assert first_damaged(tmp_path, records) is None
        (tmp_path / "b").write_bytes(b"cats")
        assert first_damaged(tmp_path, records) == "b"
        (tmp_path / "b").write_bytes(b"cat")
        status = (tmp_path / "c").stat()
        (tmp_path / "c").write_bytes(b"dog")
        os.utime(tmp_path / "c", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert first_damaged(tmp_path, records) == "c"
        (tmp_path / "c").write_bytes(b"cat")
        (tmp_path / "d").unlink()
        (tmp_path / "d").mkdir()
        assert first_damaged(tmp_path, records) == "d"

    def test_a_large_file_is_hashed_when_its_time_is_another(self, tmp_path):
        large = tmp_path / "a"
        large.write_bytes(bytes(ALWAYS_HASHED + 1))
        records = record(tmp_path, {})
        os.utime(large, ns=(1, 1))
        assert first_damaged(tmp_path, records) is None
        large.write_bytes(bytes(ALWAYS_HASHED) + b"1")
        assert first_damaged(tmp_path, records) == "a"

    def test_a_file_may_go_while_it_is_looked_at(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"cat")
        records = record(tmp_path, {})

        def gone(path):
            raise FileNotFoundError(path)

        monkeypatch.setattr("pellucid.search.damage._sha256", gone)
        assert first_damaged(tmp_path, records) is None

    def test_what_was_recorded_is_not_hashed_again(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"cat")
        records = record(tmp_path, {})
        monkeypatch.setattr("pellucid.search.damage._sha256", lambda path: pytest.fail(f"{path} is hashed"))
        assert record(tmp_path, records) == records


def test_a_pipe_in_place_of_the_pointer_is_no_obstacle(made, tmp_path):
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(IndexStateError, match="is damaged"):
        Index.open(tmp_path, made[1])


def test_a_damaged_staged_file_is_embedded_again(made, tmp_path):
    from tests.search.test_index import row, some_vectors

    store = Index.create(tmp_path / "index", made[1]).store
    for number in (1, 2):
        store.stage([row(number)], some_vectors(1))
    first = min((tmp_path / "index" / "staged").glob("*-0-*.arrow"))
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    assert store.staged().keys() == {"2"}
