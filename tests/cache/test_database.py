from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import sqlite3

import pytest

from pellucid.cache.store import Cache, make_keys
from pellucid.errors import CacheError
from tests.cache.test_store import CODEC, FINGERPRINT, vectors

HOSTILE = {
    "a view": "DROP TABLE vectors; CREATE VIEW vectors AS SELECT x'00' key, 0 day, 0 tokens, x'00' vector, 0 checksum",
    "a trigger": "CREATE TRIGGER t BEFORE INSERT ON vectors BEGIN DELETE FROM vectors; END",
    "another column": "ALTER TABLE vectors ADD COLUMN more",
    "an older table under a newer number": "ALTER TABLE vectors DROP COLUMN checksum",
    "a later version": "PRAGMA user_version = 3",
    "no version": "PRAGMA user_version = 0",
}


@pytest.mark.parametrize("change", HOSTILE)
def test_other_tables_are_refused(tmp_path, change):
    Cache(tmp_path / "c").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection:
        connection.executescript(HOSTILE[change])
    with pytest.raises(CacheError, match="another version. Name another file"):
        Cache(tmp_path / "c")


def test_a_file_without_checksums_is_refused_and_left_alone(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection:
        connection.executescript(
            "CREATE TABLE vectors (key BLOB NOT NULL UNIQUE, day INTEGER NOT NULL, tokens INTEGER NOT NULL, "
            "vector BLOB NOT NULL); CREATE INDEX by_day ON vectors (day); PRAGMA user_version = 1"
        )
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(CacheError, match="an earlier version of Pellucid.*Remove it, or name another file"):
        Cache(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before


def test_only_its_owner_can_read_a_new_file(tmp_path):
    cache = Cache(tmp_path / "c")
    cache.put(make_keys(FINGERPRINT, ["a"]), vectors(1), [1], CODEC)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    cache.close()
    (tmp_path / "c").chmod(0o640)
    Cache(tmp_path / "c")
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o640, "the owner's permissions stay"


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "c"
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE mine (a)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(CacheError, match="another file"):
        Cache(path)
    assert path.read_bytes() == before


def test_a_place_that_cannot_have_a_cache_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.mkfifo(tmp_path / "c-wal")
    places = [tmp_path, tmp_path / "none" / "c", "\0", "\ud800", "", "/dev/zero", "/dev/full"]
    for path in [*places, tmp_path / "fifo", tmp_path / "c", tmp_path / ("long" * 100)]:
        with pytest.raises(CacheError):
            Cache(path)
    with pytest.raises(CacheError, match=r"a\\x1b\[31m/c"):
        Cache(tmp_path / "a\x1b[31m" / "c")


def create_caches(folder, barrier):
    for number in range(25):
        barrier.wait(60)
        Cache(folder / str(number)).close()


def test_processes_that_create_the_same_cache_wait_for_each_other(tmp_path):
    """SQLite itself does not wait when two processes switch a file to a write-ahead log at once. And a process may find
    the tables that another has just created.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(5)
    processes = [context.Process(target=create_caches, args=(tmp_path, barrier)) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 5


def damage(path, rng):
    """Damage a file in one of the ways in which files break."""
    size, page = path.stat().st_size, 16384
    with path.open("r+b") as file:
        way = rng.randrange(6)
        if way == 0:
            for _ in range(rng.choice([1, 10, 1000])):
                file.seek(rng.randrange(size))
                file.write(rng.randbytes(1))
        elif way == 1:
            file.truncate(rng.randrange(size))
        elif way == 2:  # Two pages are swapped.
            offsets = [page * rng.randrange(max(1, size // page)) for _ in range(2)]
            pages = []
            for offset in offsets:
                file.seek(offset)
                pages.append(file.read(page))
            for offset, content in zip(reversed(offsets), pages, strict=True):
                file.seek(offset)
                file.write(content)
        elif way == 3:
            file.seek(rng.randrange(size))
            file.write(bytes(rng.randrange(1, 3 * page)))
        elif way == 4:
            file.seek(rng.randrange(min(200, size)))
            file.write(rng.randbytes(rng.randint(1, 8)))
        else:  # A part is copied elsewhere.
            file.seek(rng.randrange(size))
            content = file.read(rng.randint(1, page))
            file.seek(rng.randrange(size))
            file.write(content)


@pytest.mark.filterwarnings("ignore::pellucid.errors.CacheWarning")
def test_no_damage_to_the_files_gives_a_wrong_vector(tmp_path):
    """Set PELLUCID_DAMAGES to the number of files to damage."""
    keys = make_keys(FINGERPRINT, [str(n) for n in range(300)])
    true = dict(zip(keys, vectors(300), strict=True))
    (tmp_path / "whole").mkdir()
    cache = Cache(tmp_path / "whole" / "c")
    cache.put(keys[:200], vectors(300)[:200], range(200), CODEC)
    cache.close()
    cache.put(keys[200:], vectors(300)[200:], range(200, 300), CODEC)  # These are still in the write-ahead log.
    assert (tmp_path / "whole" / "c-wal").stat().st_size
    lost = refused = 0
    for seed in range(int(os.environ.get("PELLUCID_DAMAGES", "60"))):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(tmp_path / "whole", folder)
        for ending in ("-wal", "-shm") if rng.random() < 0.5 else ():
            (folder / f"c{ending}").unlink()
        for _ in range(rng.choice([1, 1, 3])):
            damage(rng.choice([file for file in folder.iterdir() if file.stat().st_size]), rng)
        try:
            broken = Cache(folder / "c", max_bytes=500_000)
        except CacheError:
            refused += 1
        else:
            for _ in range(2):
                found = broken.get(keys, CODEC)
                assert len(found.rows) == len(found.results) == len(found.tokens)
                for key, row in found.rows.items():
                    assert found.results[row].tobytes() == true[key].tobytes()
                    assert found.tokens[row] == keys.index(key)
                missing = [number for number, key in enumerate(keys) if key not in found.rows]
                broken.put([keys[n] for n in missing], vectors(300)[missing], missing, CODEC)
            lost += bool(missing)
            for use in (broken.state, lambda: broken.trim(100_000)):  # noqa: B023
                with contextlib.suppress(CacheError):
                    use()
            broken.close()
        shutil.rmtree(folder)
    cache.close()
    assert lost > 0
    assert refused > 0
