from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import random
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
from pellucid.cache import Cache, Space
from pellucid.errors import CacheError, CacheWarning, OptionError, TruncationError, TruncationWarning
from tests import tiny

TEXTS = ["the cat", "a dog", "the cat", "", "the cat sat on the mat"]
SPACE = Space("digest", "native", "float32", "", None, None)


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
    one = Space("d", "native", "float32", prompt, None, None).keys([text])
    assert one == Space("d", "native", "float32", prompt, None, None).keys([text])
    assert one != Space("d", "native", "float32", other_prompt, None, None).keys([other])


def vectors(n, seed=0, d=64):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def get(cache, keys):
    found = cache.get(keys, 64)
    return {key: found.vectors[row] for key, row in found.rows.items()}


def test_the_file_stays_within_its_bound_and_keeps_what_was_used_last(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "c", max_bytes=200_000)
    monkeypatch.setattr("pellucid.cache._today", lambda: 739_000)
    old = SPACE.keys([f"old {n}" for n in range(300)])
    cache.put(old, vectors(300), [1] * 300)
    monkeypatch.setattr("pellucid.cache._today", lambda: 739_001)
    assert len(get(cache, old[:50])) == 50
    for part in range(6):
        keys = SPACE.keys([f"new {part} {n}" for n in range(50)])
        cache.put(keys, vectors(50, part), [1] * 50)
        assert cache.state().bytes <= 220_000
    assert len(get(cache, keys)) == 50
    assert len(get(cache, old[:50])) > len(get(cache, old[50:])) / 5
    assert get(cache, SPACE.keys(["never"])) == {}


def test_the_state_and_trimming(tmp_path):
    cache = Cache(tmp_path / "c")
    assert cache.state().vectors == 0
    keys = SPACE.keys([str(n) for n in range(2000)])
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
    for path in (tmp_path, tmp_path / "none" / "c"):
        with pytest.raises(CacheError):
            Cache(path)
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
    for _ in range(2):
        assert (make().embed_documents(TEXTS) == expected).all()
    assert calls == [4, 1]


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
        cache.put(SPACE.keys([f"{part} {n}" for n in range(20)]), vectors(20, part), [number] * 20)


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
        keys = SPACE.keys([f"{part} {n}" for n in range(20)])
        found = get(cache, keys)
        assert (np.stack([found[key] for key in keys]) == vectors(20, part)).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_opens_it_for_itself(tmp_path):
    cache = Cache(tmp_path / "c")
    keys = SPACE.keys(["a", "b"])
    cache.put(keys[:1], vectors(1), [1])
    child = os.fork()
    if not child:
        cache.put(keys[1:], vectors(1, 1), [1])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(get(cache, keys)) == 2


def test_a_killed_writer_leaves_a_sound_file(tmp_path):
    code = textwrap.dedent(f"""
        from tests.test_cache import SPACE, vectors
        from pellucid.cache import Cache
        cache, part = Cache({str(tmp_path / "c")!r}), 0
        print("ready", flush=True)
        while True:
            cache.put(SPACE.keys([f"{{part}} {{n}}" for n in range(50)]), vectors(50, part), [1] * 50)
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
    found = get(Cache(tmp_path / "c"), SPACE.keys([f"0 {n}" for n in range(50)]))
    assert len(found) in {0, 50}
    for n, key in enumerate(SPACE.keys([f"0 {n}" for n in range(50)])):
        assert key not in found or (found[key] == vectors(50)[n]).all()
