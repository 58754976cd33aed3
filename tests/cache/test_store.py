from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder, Encoder, MultiVectorEmbedder, SparseEmbedder
from pellucid.cache.codecs import VectorCodec
from pellucid.cache.store import Cache, make_keys
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import CacheWarning, OptionError, TruncationError, TruncationWarning
from tests import bge_m3, tiny

TEXTS = ["the cat", "a dog", "the cat", "", "the cat sat on the mat"]
FINGERPRINT = b"what else a vector depends on"
CODEC = VectorCodec(64)


@pytest.fixture
def counted(tiny_bert, tmp_path, monkeypatch):
    """A function that makes embedders with the same cache, and the number of texts in each call of their engines."""
    calls = []

    def make(model=tiny_bert, **options):
        embedder = Embedder(model, cache=tmp_path / "vectors.db", **options)
        compute = embedder.engine.run
        monkeypatch.setattr(embedder.engine, "run", lambda b, finish: (calls.append(len(b)), compute(b, finish))[1])
        return embedder

    return make, calls


def test_another_embedder_finds_the_same_bits(counted, tiny_bert):
    make, calls = counted
    expected = Embedder(tiny_bert).embed_documents(TEXTS)
    assert (make().embed_documents(TEXTS) == expected).all()
    assert calls == [4], "equal texts are computed once"
    assert (make().embed_documents(TEXTS[::-1]) == expected[::-1]).all()
    assert calls == [4]
    assert (np.concatenate(list(make().embed_stream(iter([*TEXTS, "a mat"]))))[:5] == expected).all()
    assert calls == [4, 1]


@pytest.mark.parametrize(
    "options",
    [{"normalize": False}, {"normalize": True}, {"truncate_dim": 3}, {"prompt": "the "}],
)
def test_other_options_give_other_vectors(counted, tiny_bert, options):
    make, calls = counted
    make().embed_documents(TEXTS)
    found = make().embed_documents(TEXTS, **options)
    assert calls == [4, 4]
    assert (found == Embedder(tiny_bert).embed_documents(TEXTS, **options)).all()


def test_other_models_dtypes_and_engines_give_other_vectors(counted, tmp_path, tiny_bert):
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


def test_output_types_are_made_from_stored_vectors(counted, tiny_bert):
    make, calls = counted
    make().embed_documents(TEXTS)
    for output in ("float16", "int8", "binary"):
        found = make().embed_documents(TEXTS, output_dtype=output)
        assert (found == Embedder(tiny_bert).embed_documents(TEXTS, output_dtype=output)).all()
    assert calls == [4]


def test_the_truncation_warning_comes_every_time(counted):
    make, calls = counted
    for _ in range(2):
        with pytest.warns(TruncationWarning, match="1 of 2 texts"):
            make().embed_documents(["the cat", "cat " * 100])
    with pytest.raises(TruncationError, match="the first is text 1"):
        make(on_truncation="error").embed_documents(["the cat", "cat " * 100])
    assert calls == [2]


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_keys_differ_if_prompt_or_text_differ(pairs):
    def key(prompt, text):
        fingerprint = Fingerprint(model="d", engine="native", dtype="float32", device="cpu", prompt=prompt)
        return make_keys(fingerprint.key(), [text])

    (prompt, text), (other_prompt, other_text) = pairs
    assert key(prompt, text) == key(prompt, text)
    assert key(prompt, text) != key(other_prompt, other_text)


def vectors(n, seed=0, d=64):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def get(cache, keys):
    found = cache.get(keys, CODEC)
    return {key: found.results[row] for key, row in found.rows.items()}


def test_the_file_stays_within_its_limit_and_keeps_what_was_used_last(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "c", max_bytes=200_000)
    monkeypatch.setattr("pellucid.cache.store._today", lambda: 739_000)
    old = make_keys(FINGERPRINT, [f"old {n}" for n in range(300)])
    cache.put(old, vectors(300), [1] * 300, CODEC)
    monkeypatch.setattr("pellucid.cache.store._today", lambda: 739_001)
    assert len(get(cache, old[:50])) == 50
    for part in range(6):
        keys = make_keys(FINGERPRINT, [f"new {part} {n}" for n in range(50)])
        cache.put(keys, vectors(50, part), [1] * 50, CODEC)
        assert cache.state().bytes <= 220_000
    assert len(get(cache, keys)) == 50
    assert len(get(cache, old[:50])) > len(get(cache, old[50:])) / 5
    assert get(cache, make_keys(FINGERPRINT, ["never"])) == {}


def test_the_state_and_trimming(tmp_path):
    cache = Cache(tmp_path / "c")
    assert cache.state().vectors == 0
    keys = make_keys(FINGERPRINT, [str(n) for n in range(2000)])
    cache.put(keys, vectors(2000), [1] * 2000, CODEC)
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


@pytest.mark.parametrize("max_bytes", [0, -1, True, 1.5, None])
def test_a_limit_that_is_not_a_whole_number_is_refused(tmp_path, max_bytes):
    with pytest.raises(OptionError, match="max_bytes=.* must be a whole number of at least 1"):
        Cache(tmp_path / "c", max_bytes=max_bytes)


def test_a_cache_that_breaks_is_one_warning_and_no_vector_is_lost(tiny_bert, tmp_path):
    embedder = Embedder(tiny_bert, cache=tmp_path / "c")
    expected = embedder.embed_documents(TEXTS)
    with sqlite3.connect(tmp_path / "c") as other:
        other.execute("DROP TABLE vectors")
    other.close()
    with pytest.warns(CacheWarning, match="cannot be read .* Vectors are computed instead"):
        assert (embedder.embed_documents(TEXTS) == expected).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (embedder.embed_documents(TEXTS) == expected).all()


def test_a_vector_that_is_too_short_is_computed_again(counted, tiny_bert, tmp_path):
    make, calls = counted
    expected = make().embed_documents(TEXTS)
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors.db")) as connection, connection:
        connection.execute("UPDATE vectors SET vector = substr(vector, 1, 10) WHERE rowid = 2")
    with pytest.warns(CacheWarning, match="is damaged: 1 of the requested vectors"):
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
    with pytest.warns(CacheWarning, match="is damaged: 1 of the requested vectors"):
        assert (embedder.embed_documents(TEXTS) == expected).all()
    assert (embedder.embed_documents(TEXTS) == expected).all()
    assert calls == [4, 1]


def test_damage_is_one_warning(tmp_path):
    cache = Cache(tmp_path / "c")
    keys = make_keys(FINGERPRINT, ["a", "b"])
    cache.put(keys, vectors(2), [1, 1], CODEC)
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection, connection:
        connection.execute("UPDATE vectors SET tokens = 2")
    with pytest.warns(CacheWarning, match="2 of the requested vectors are not what was written"):
        assert get(cache, keys) == {}
    assert get(cache, keys) == {}, "a second warning would be an error here"


def test_a_sound_row_that_is_not_of_this_kind_counts_as_damaged(tmp_path):
    cache = Cache(tmp_path / "c")
    keys = make_keys(FINGERPRINT, ["a", "b"])
    cache.put(keys, vectors(2), [1, 2], CODEC)
    with pytest.warns(CacheWarning, match="2 of the requested vectors are not what was written"):
        assert cache.get(keys, VectorCodec(63)).rows == {}


def test_a_file_of_the_version_before_sparse_vectors_is_used_as_it_is(tiny_bert, tmp_path):
    embedder = Embedder(tiny_bert)
    depends_on = {
        "model": embedder.digest,
        "engine": "native",
        "dtype": "float32",
        "prompt": "",
        "normalize": None,
        "truncate_dim": None,
    }
    fingerprint = hashlib.blake2b(json.dumps(depends_on, sort_keys=True).encode(), digest_size=32).digest()
    key = hashlib.blake2b(b"the cat", digest_size=16, key=fingerprint).digest()
    vector = np.arange(embedder.dimensions, dtype="<f4")
    checksum = zlib.crc32(vector.tobytes(), zlib.crc32(key + b"4"))
    with contextlib.closing(sqlite3.connect(tmp_path / "c")) as connection, connection:
        connection.execute(
            "CREATE TABLE vectors (key BLOB NOT NULL UNIQUE, day INTEGER NOT NULL, tokens INTEGER NOT NULL, "
            "vector BLOB NOT NULL, checksum INTEGER NOT NULL)"
        )
        connection.execute("CREATE INDEX by_day ON vectors (day)")
        connection.execute("PRAGMA user_version = 2")
        connection.execute("INSERT INTO vectors VALUES (?, 700000, 4, ?, ?)", (key, vector.tobytes(), checksum))
    found = Embedder(tiny_bert, cache=tmp_path / "c").embed_documents(["the cat", "a dog"])
    np.testing.assert_array_equal(found[0], vector)
    np.testing.assert_array_equal(found[1], embedder.embed_query("a dog"))


def test_an_impossible_day_does_no_harm(counted, tmp_path):
    make, calls = counted
    expected = make().embed_documents(TEXTS)
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors.db")) as connection, connection:
        connection.execute("UPDATE vectors SET day = CASE rowid WHEN 1 THEN 'today' WHEN 2 THEN -1 ELSE 1 << 60 END")
    cache = Cache(tmp_path / "vectors.db")
    assert (cache.state().vectors, cache.state().oldest) == (4, None)
    assert (make().embed_documents(TEXTS) == expected).all()
    assert cache.state().oldest == datetime.datetime.now(datetime.UTC).date()
    assert calls == [4]


def test_threads_share_a_cache(tiny_bert, tmp_path):
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


def write_vectors(path, number):
    cache = Cache(path)
    for part in range(20):
        cache.put(make_keys(FINGERPRINT, [f"{part} {n}" for n in range(20)]), vectors(20, part), [number] * 20, CODEC)


def test_processes_share_a_cache(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_vectors, args=(tmp_path / "c", n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    cache = Cache(tmp_path / "c")
    for part in range(20):
        keys = make_keys(FINGERPRINT, [f"{part} {n}" for n in range(20)])
        found = get(cache, keys)
        assert (np.stack([found[key] for key in keys]) == vectors(20, part)).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_children_of_a_process_whose_threads_use_a_cache_can_use_it(tmp_path):
    cache = Cache(tmp_path / "c")
    keys = make_keys(FINGERPRINT, [str(n) for n in range(40)])
    stop = threading.Event()

    def use():
        while not stop.is_set():
            cache.put(keys[:10], vectors(10), [1] * 10, CODEC)
            cache.get(keys, CODEC)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20, 40):
            child = os.fork()
            if not child:
                signal.alarm(20)  # Kills a child that waits for a lock for ever, which fails the test.
                cache.put(keys[number : number + 1], vectors(40)[number : number + 1], [number], CODEC)
                found = cache.get(keys, CODEC)
                row = found.rows[keys[number]]
                os._exit(0 if (found.results[row] == vectors(40)[number]).all() else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(get(cache, keys[20:])) == set(keys[20:])


def test_a_killed_writer_leaves_a_sound_file(tmp_path):
    code = textwrap.dedent(f"""
        from pellucid.cache.store import Cache, make_keys
        from tests.cache.test_store import CODEC, FINGERPRINT, vectors
        cache, part = Cache({str(tmp_path / "c")!r}), 0
        print("ready", flush=True)
        while True:
            keys = make_keys(FINGERPRINT, [f"{{part}} {{n}}" for n in range(50)])
            cache.put(keys, vectors(50, part), [1] * 50, CODEC)
            part += 1
    """)
    for seed in range(4):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(random.Random(seed).uniform(0.01, 0.1))
            writer.send_signal(signal.SIGKILL)
    with sqlite3.connect(tmp_path / "c") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    found = get(Cache(tmp_path / "c"), make_keys(FINGERPRINT, [f"0 {n}" for n in range(50)]))
    assert len(found) in {0, 50}
    for n, key in enumerate(make_keys(FINGERPRINT, [f"0 {n}" for n in range(50)])):
        assert key not in found or (found[key] == vectors(50)[n]).all()


def test_the_kinds_of_vectors_of_one_model_share_a_file(tmp_path):
    encoder = Encoder(bge_m3.write_model(tmp_path / "m"))
    for _ in range(2):
        for task in (Embedder, SparseEmbedder, MultiVectorEmbedder):
            plain, cached = (task(encoder, cache=cache, on_truncation="cut") for cache in (None, tmp_path / "c"))
            expected, found = (each.embed_documents(bge_m3.TEXTS) for each in (plain, cached))
            assert pickle.dumps(found) == pickle.dumps(expected)
    assert cached.cache.state().vectors == 3 * len(set(bge_m3.TEXTS))
