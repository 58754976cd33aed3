from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.cache.store import Cache, keys_of
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import CacheError, CacheWarning, OptionError, TruncationError, TruncationWarning
from tests import tiny

TEXTS = ["the cat", "a dog", "the cat", "", "the cat sat on the mat"]
FINGERPRINT = b"what else a vector depends on"


@pytest.fixture
def counted(tiny_bert, tmp_path, monkeypatch):
    """Embedders of one cache, and how many texts went through their engines."""
    calls = []

    def make(model=tiny_bert, **options):
        embedder = Embedder(model, cache=tmp_path / "vectors.db", **options)
        compute = embedder.engine.token_vectors
        monkeypatch.setattr(embedder.engine, "token_vectors", lambda b: (calls.append(len(b)), compute(b))[1])
        return embedder

    return make, calls


def test_what_was_computed_is_found_to_the_bit_by_another_embedder(counted, tiny_bert):
    make, calls = counted
    expected = Embedder(tiny_bert).embed_documents(TEXTS)
    assert (make().embed_documents(TEXTS) == expected).all()
    assert calls == [4], "of equal texts one is computed"
    assert (make().embed_documents(TEXTS[::-1]) == expected[::-1]).all()
    assert calls == [4]
    assert (np.concatenate(list(make().embed_stream(iter([*TEXTS, "a mat"]))))[:5] == expected).all()
    assert calls == [4, 1]


@pytest.mark.parametrize(
    "options",
    [{"normalize": False}, {"normalize": True}, {"truncate_dim": 3}, {"prompt": "the "}],
)
def test_other_options_are_other_vectors(counted, tiny_bert, options):
    make, calls = counted
    make().embed_documents(TEXTS)
    found = make().embed_documents(TEXTS, **options)
    assert calls == [4, 4]
    assert (found == Embedder(tiny_bert).embed_documents(TEXTS, **options)).all()


def test_other_models_arithmetic_and_engines_are_other_vectors(counted, tmp_path, tiny_bert):
    make, calls = counted
    make().embed_query("the cat")
    make(tiny.write_model(tmp_path / "other", seed=1)).embed_query("the cat")
    make(dtype="int8").embed_query("the cat")
    make(engine="reference").embed_query("the cat")
    assert calls == [1] * 4


def test_a_copy_of_the_model_finds_what_the_original_computed(counted, tmp_path):
    make, calls = counted
    make(tiny.write_model(tmp_path / "one")).embed_query("the cat")
    make(tiny.write_model(tmp_path / "two")).embed_query("the cat")
    assert calls == [1]


def test_output_types_are_made_of_what_is_kept(counted, tiny_bert):
    make, calls = counted
    make().embed_documents(TEXTS)
    for output in ("float16", "int8", "binary"):
        found = make().embed_documents(TEXTS, output_dtype=output)
        assert (found == Embedder(tiny_bert).embed_documents(TEXTS, output_dtype=output)).all()
    assert calls == [4]


def test_what_was_cut_is_told_every_time(counted):
    make, calls = counted
    for _ in range(2):
        with pytest.warns(TruncationWarning, match="1 of 2 texts"):
            make().embed_documents(["the cat", "cat " * 100])
    with pytest.raises(TruncationError, match="the first is text 1"):
        make(on_truncation="error").embed_documents(["the cat", "cat " * 100])
    assert calls == [2]


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_keys_differ_where_prompt_or_text_do(pairs):
    (prompt, text), (other_prompt, other) = pairs
    one = keys_of(Fingerprint("d", "native", "float32", "cpu", prompt).key(), [text])
    assert one == keys_of(Fingerprint("d", "native", "float32", "cpu", prompt).key(), [text])
    assert one != keys_of(Fingerprint("d", "native", "float32", "cpu", other_prompt).key(), [other])


def vectors(n, seed=0, d=64):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def get(cache, keys):
    found = cache.get(keys, 64)
    return {key: found.vectors[row] for key, row in found.rows.items()}


def test_the_file_stays_within_its_bound_and_keeps_what_was_used_last(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "c", max_bytes=200_000)
    monkeypatch.setattr("pellucid.cache.store._today", lambda: 739_000)
    old = keys_of(FINGERPRINT, [f"old {n}" for n in range(300)])
    cache.put(old, vectors(300), [1] * 300)
    monkeypatch.setattr("pellucid.cache.store._today", lambda: 739_001)
    assert len(get(cache, old[:50])) == 50
    for part in range(6):
        keys = keys_of(FINGERPRINT, [f"new {part} {n}" for n in range(50)])
        cache.put(keys, vectors(50, part), [1] * 50)
        assert cache.state().bytes <= 220_000
    assert len(get(cache, keys)) == 50
    assert len(get(cache, old[:50])) > len(get(cache, old[50:])) / 5
    assert get(cache, keys_of(FINGERPRINT, ["never"])) == {}


def test_the_state_and_trimming(tmp_path):
    cache = Cache(tmp_path / "c")
    assert cache.state().vectors == 0
    keys = keys_of(FINGERPRINT, [str(n) for n in range(2000)])
    cache.put(keys, vectors(2000), [1] * 2000)
    state = cache.state()
    assert state.vectors == 2000
    assert state.oldest == state.newest == datetime.datetime.now(datetime.UTC).date()
    cache.trim(300_000)
    assert 0 < cache.state().bytes <= 300_000
    assert (tmp_path / "c").stat().st_size <= 300_000
    assert cache.state().vectors > 500
    cache.trim(0)
    assert cache.state().vectors == 0
    cache.close()


HOSTILE = {
    "a view": "DROP TABLE vectors; CREATE VIEW vectors AS SELECT x'00' key, 0 day, 0 tokens, x'00' vector, 0 checksum",
    "a trigger": "CREATE TRIGGER t BEFORE INSERT ON vectors BEGIN DELETE FROM vectors; END",
    "another column": "ALTER TABLE vectors ADD COLUMN more",
    "an older table under a newer number": "ALTER TABLE vectors DROP COLUMN checksum",
    "a later version": "PRAGMA user_version = 3",
    "no version": "PRAGMA user_version = 0",
}


@pytest.mark.parametrize("change", HOSTILE)
def test_tables_that_are_not_ours_are_refused(tmp_path, change):
    Cache(tmp_path / "c").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection:
        connection.executescript(HOSTILE[change])
    with pytest.raises(CacheError, match="another version. Name another file"):
        Cache(tmp_path / "c")


def test_a_file_without_checksums_is_refused_and_left(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection:
        connection.executescript(
            "CREATE TABLE vectors (key BLOB NOT NULL UNIQUE, day INTEGER NOT NULL, tokens INTEGER NOT NULL, "
            "vector BLOB NOT NULL); CREATE INDEX by_day ON vectors (day); PRAGMA user_version = 1"
        )
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(CacheError, match="an earlier version of Pellucid.*Remove it, or name another file"):
        Cache(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before


def test_only_its_owner_may_read_a_new_file(tmp_path):
    cache = Cache(tmp_path / "c")
    cache.put(keys_of(FINGERPRINT, ["a"]), vectors(1), [1])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    cache.close()
    (tmp_path / "c").chmod(0o640)
    Cache(tmp_path / "c")
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o640, "what the owner allowed stays"


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_file_of_something_else_is_refused_and_left(tmp_path, content):
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


def test_a_place_where_no_file_can_be_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.mkfifo(tmp_path / "c-wal")
    places = [tmp_path, tmp_path / "none" / "c", "\0", "\ud800", "", "/dev/zero", "/dev/full"]
    for path in [*places, tmp_path / "fifo", tmp_path / "c", tmp_path / ("long" * 100)]:
        with pytest.raises(CacheError):
            Cache(path)
    with pytest.raises(CacheError, match=r"a\\x1b\[31m/c"):
        Cache(tmp_path / "a\x1b[31m" / "c")
    with pytest.raises(OptionError):
        Cache(tmp_path / "c", max_bytes=0)
    with pytest.raises(OptionError, match="cache is of type int"):
        Embedder("all-MiniLM-L6-v2", cache=3)


def test_a_cache_that_breaks_is_told_once_and_nothing_is_lost(tiny_bert, tmp_path):
    embedder = Embedder(tiny_bert, cache=tmp_path / "c")
    expected = embedder.embed_documents(TEXTS)
    with sqlite3.connect(tmp_path / "c") as other:
        other.execute("DROP TABLE vectors")
    other.close()
    with pytest.warns(CacheWarning, match="cannot be read"):
        assert (embedder.embed_documents(TEXTS) == expected).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (embedder.embed_documents(TEXTS) == expected).all()


def test_a_vector_that_has_lost_a_part_is_computed_again(counted, tiny_bert, tmp_path):
    make, calls = counted
    expected = make().embed_documents(TEXTS)
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors.db")) as connection, connection:
        connection.execute("UPDATE vectors SET vector = substr(vector, 1, 10) WHERE rowid = 2")
    with pytest.warns(CacheWarning, match="is damaged: 1 of the vectors"):
        assert (make().embed_documents(TEXTS) == expected).all()
    assert (make().embed_documents(TEXTS) == expected).all()
    assert calls == [4, 1]


DAMAGES = {
    "a bit of a vector": "UPDATE vectors SET vector = CAST(zeroblob(255) || x'01' AS BLOB) WHERE rowid = 2",
    "another text's vector": "UPDATE vectors SET vector = (SELECT vector FROM vectors WHERE rowid = 3) WHERE rowid = 2",
    "another text's row": "UPDATE vectors SET (tokens, vector, checksum) = "
    "(SELECT tokens, vector, checksum FROM vectors WHERE rowid = 3) WHERE rowid = 2",
    "another count": "UPDATE vectors SET tokens = tokens + 1 WHERE rowid = 2",
    "a negative count": "UPDATE vectors SET tokens = -1 WHERE rowid = 2",
    "a count beyond all": "UPDATE vectors SET tokens = 1 << 62 WHERE rowid = 2",
    "a text for a vector": "UPDATE vectors SET vector = 'a text' WHERE rowid = 2",
    "a text for a count": "UPDATE vectors SET tokens = 'many' WHERE rowid = 2",
    "a text that is not UTF-8": "UPDATE vectors SET vector = CAST(x'FFFE' AS TEXT) WHERE rowid = 2",
    "a text for a checksum": "UPDATE vectors SET checksum = 'sound' WHERE rowid = 2",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_row_is_computed_again_and_written_over(counted, tmp_path, damage):
    make, calls = counted
    expected = make().embed_documents(TEXTS)
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors.db")) as connection, connection:
        assert connection.execute(DAMAGES[damage]).rowcount == 1
    embedder = make()
    with pytest.warns(CacheWarning, match="is damaged: 1 of the vectors"):
        assert (embedder.embed_documents(TEXTS) == expected).all()
    assert (embedder.embed_documents(TEXTS) == expected).all()
    assert calls == [4, 1]


def test_damage_is_told_once(tmp_path):
    cache = Cache(tmp_path / "c")
    keys = keys_of(FINGERPRINT, ["a", "b"])
    cache.put(keys, vectors(2), [1, 1])
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection, connection:
        connection.execute("UPDATE vectors SET tokens = 2")
    with pytest.warns(CacheWarning, match="2 of the vectors asked for are not what was written"):
        assert get(cache, keys) == {}
    assert get(cache, keys) == {}, "a second warning would be an error here"


def test_a_vector_that_is_not_finite_is_not_kept(tmp_path):
    cache = Cache(tmp_path / "c")
    computed = vectors(3)
    computed[1, 5] = np.nan
    keys = keys_of(FINGERPRINT, ["a", "b", "c"])
    cache.put(keys, computed, [1, 2, 3])
    found = cache.get(keys, 64)
    assert list(found.tokens[[found.rows[keys[0]], found.rows[keys[2]]]]) == [1, 3]
    assert keys[1] not in found.rows


def test_a_day_that_is_none_harms_nothing(counted, tmp_path):
    make, calls = counted
    expected = make().embed_documents(TEXTS)
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors.db")) as connection, connection:
        connection.execute("UPDATE vectors SET day = CASE rowid WHEN 1 THEN 'today' WHEN 2 THEN -1 ELSE 1 << 60 END")
    cache = Cache(tmp_path / "vectors.db")
    assert (cache.state().vectors, cache.state().oldest) == (4, None)
    assert (make().embed_documents(TEXTS) == expected).all()
    assert cache.state().oldest == datetime.datetime.now(datetime.UTC).date()
    assert calls == [4]


def damage(path, rng):
    """One of the ways in which files break."""
    size, page = path.stat().st_size, 16384
    with path.open("r+b") as file:
        way = rng.randrange(6)
        if way == 0:
            for _ in range(rng.choice([1, 10, 1000])):
                file.seek(rng.randrange(size))
                file.write(rng.randbytes(1))
        elif way == 1:
            file.truncate(rng.randrange(size))
        elif way == 2:  # Two pages change places.
            one, two = (page * rng.randrange(max(1, size // page)) for _ in range(2))
            pages = []
            for at in (one, two):
                file.seek(at)
                pages.append(file.read(page))
            for at, content in zip((two, one), pages, strict=True):
                file.seek(at)
                file.write(content)
        elif way == 3:
            file.seek(rng.randrange(size))
            file.write(bytes(rng.randrange(1, 3 * page)))
        elif way == 4:
            file.seek(rng.randrange(min(200, size)))
            file.write(rng.randbytes(rng.randint(1, 8)))
        else:  # One place is copied to another.
            file.seek(rng.randrange(size))
            content = file.read(rng.randint(1, page))
            file.seek(rng.randrange(size))
            file.write(content)


@pytest.mark.filterwarnings("ignore::pellucid.errors.CacheWarning")
def test_no_damage_to_the_files_gives_a_wrong_vector(tmp_path):
    """PELLUCID_DAMAGES says how many files are damaged."""
    keys = keys_of(FINGERPRINT, [str(n) for n in range(300)])
    true = dict(zip(keys, vectors(300), strict=True))
    (tmp_path / "whole").mkdir()
    cache = Cache(tmp_path / "whole" / "c")
    cache.put(keys[:200], vectors(300)[:200], range(200))
    cache.close()
    cache.put(keys[200:], vectors(300)[200:], range(200, 300))  # These are in the write-ahead log yet.
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
                found = broken.get(keys, 64)
                assert len(found.rows) == len(found.vectors) == len(found.tokens)
                for key, row in found.rows.items():
                    assert found.vectors[row].tobytes() == true[key].tobytes()
                    assert found.tokens[row] == keys.index(key)
                missing = [number for number, key in enumerate(keys) if key not in found.rows]
                broken.put([keys[n] for n in missing], vectors(300)[missing], missing)
            lost += bool(missing)
            for use in (broken.state, lambda: broken.trim(100_000)):  # noqa: B023
                with contextlib.suppress(CacheError):
                    use()
            broken.close()
        shutil.rmtree(folder)
    cache.close()
    assert lost > 0
    assert refused > 0


def test_threads_share_one(tiny_bert, tmp_path):
    embedder = Embedder(tiny_bert, cache=tmp_path / "c")
    expected = Embedder(tiny_bert).embed_documents([f"cat {n}" for n in range(60)])
    equal = []

    def work(seed):
        order = random.Random(seed).sample(range(60), 60)
        equal.append((embedder.embed_documents([f"cat {n}" for n in order]) == expected[order]).all())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal == [True] * 6
    assert embedder.cache.state().vectors == len({f"cat {n}" for n in range(60)})


def write_some(path, number):
    cache = Cache(path)
    for part in range(20):
        cache.put(keys_of(FINGERPRINT, [f"{part} {n}" for n in range(20)]), vectors(20, part), [number] * 20)


def make_at_once(folder, barrier):
    for number in range(25):
        barrier.wait(60)
        Cache(folder / str(number)).close()


def test_processes_that_make_the_same_new_one_wait_for_each_other(tmp_path):
    """SQLite does not wait where two switch a file to a write-ahead log, and a file may get its tables in between."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(5)
    processes = [context.Process(target=make_at_once, args=(tmp_path, barrier)) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 5


def test_processes_share_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_some, args=(tmp_path / "c", n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    cache = Cache(tmp_path / "c")
    for part in range(20):
        keys = keys_of(FINGERPRINT, [f"{part} {n}" for n in range(20)])
        found = get(cache, keys)
        assert (np.stack([found[key] for key in keys]) == vectors(20, part)).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forks_from_a_process_whose_threads_use_it_all_work(tmp_path):
    cache = Cache(tmp_path / "c")
    keys = keys_of(FINGERPRINT, [str(n) for n in range(40)])
    over = threading.Event()

    def use():
        while not over.is_set():
            cache.put(keys[:10], vectors(10), [1] * 10)
            cache.get(keys, 64)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20, 40):
            child = os.fork()
            if not child:
                signal.alarm(20)  # A child that waits for a lock for ever is killed, and fails the test.
                cache.put(keys[number : number + 1], vectors(40)[number : number + 1], [number])
                found = cache.get(keys, 64)
                ours = found.rows[keys[number]]
                os._exit(0 if (found.vectors[ours] == vectors(40)[number]).all() else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(get(cache, keys[20:])) == set(keys[20:])


def test_a_killed_writer_leaves_a_sound_file(tmp_path):
    code = textwrap.dedent(f"""
        from pellucid.encoder.fingerprint import Fingerprint
from pellucid.cache.store import keys_of
        from tests.cache.test_store import FINGERPRINT, vectors
        from pellucid.encoder.fingerprint import Fingerprint
from pellucid.cache.store import Cache
        cache, part = Cache({str(tmp_path / "c")!r}), 0
        print("ready", flush=True)
        while True:
            cache.put(keys_of(FINGERPRINT, [f"{{part}} {{n}}" for n in range(50)]), vectors(50, part), [1] * 50)
            part += 1
    """)
    for seed in range(4):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()
            time.sleep(random.Random(seed).uniform(0.01, 0.1))
            writer.send_signal(signal.SIGKILL)
    with sqlite3.connect(tmp_path / "c") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    found = get(Cache(tmp_path / "c"), keys_of(FINGERPRINT, [f"0 {n}" for n in range(50)]))
    assert len(found) in {0, 50}
    for n, key in enumerate(keys_of(FINGERPRINT, [f"0 {n}" for n in range(50)])):
        assert key not in found or (found[key] == vectors(50)[n]).all()
