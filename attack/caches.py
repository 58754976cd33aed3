"""Caches that were corrupted: each vector is the true one to the bit, and only documented errors and warnings come."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests import tiny

from attack import strange_files
from attack.child import Attack, Result
from attack.target import Target
from pellucid import Embedder
from pellucid.cache.store import Cache
from pellucid.errors import CacheError, CacheWarning
from pellucid.types import Float32

WORDS = ("the", "cat", "dog", "sat", "on", "mat", "query", "passage")
TEXTS = [f"{first} {second} {third}" for first in WORDS for second in WORDS for third in WORDS[:4]]
ASKED = 40
NAME = "vectors.db"
STATEMENTS = (
    *("UPDATE vectors SET vector = (SELECT vector FROM vectors ORDER BY key LIMIT 1)",) * 2,
    *("UPDATE vectors SET vector = zeroblob(length(vector))",) * 2,
    "UPDATE vectors SET vector = substr(vector, 2) || x'00'",
    "UPDATE vectors SET vector = vector || vector",
    "UPDATE vectors SET vector = 'text', tokens = 'text'",
    "UPDATE vectors SET vector = 7",
    "UPDATE vectors SET vector = CAST(vector AS TEXT)",
    "UPDATE vectors SET tokens = 100000",
    "UPDATE vectors SET tokens = -1",
    "UPDATE vectors SET tokens = 'many'",
    "UPDATE vectors SET tokens = 9223372036854775807",
    "UPDATE vectors SET tokens = 1e300, day = 1e300",
    "UPDATE vectors SET day = -9223372036854775807",
    "UPDATE vectors SET day = 'yesterday'",
    "UPDATE vectors SET day = 0",
    "DELETE FROM vectors WHERE rowid % 2",
    "UPDATE OR IGNORE vectors SET key = (SELECT key FROM vectors AS other WHERE other.rowid > vectors.rowid LIMIT 1)",
    "DROP TABLE vectors",
    "ALTER TABLE vectors RENAME COLUMN vector TO other",
    "ALTER TABLE vectors ADD COLUMN other INTEGER DEFAULT 7",
    "ALTER TABLE vectors DROP COLUMN tokens",
    "DROP INDEX by_day",
    "CREATE TRIGGER bad AFTER INSERT ON vectors BEGIN UPDATE vectors SET vector = zeroblob(length(vector)); END",
    "CREATE TRIGGER full BEFORE INSERT ON vectors BEGIN SELECT RAISE(ABORT, 'no'); END",
    "ALTER TABLE vectors RENAME TO kept; CREATE VIEW vectors AS SELECT * FROM kept",
    "ALTER TABLE vectors RENAME TO kept; "
    "CREATE VIEW vectors AS SELECT key, day, tokens, randomblob(64) AS vector FROM kept",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = 99",
    "PRAGMA application_id = 7; PRAGMA encoding = 'UTF-16'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE vectors (a)'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 1",
    "PRAGMA writable_schema = ON; DELETE FROM sqlite_master",
)


def prepare(shared: Path) -> Attack:
    folder = tiny.write_model(shared / "model", seed=3)
    truth = dict(zip(TEXTS, Embedder(folder, threads=1).embed_documents(TEXTS), strict=True))
    for number, ending in enumerate(("", "-wal")):  # One that was closed, and one of a process that was killed.
        cache = Cache(shared / f"{number}-{NAME}")
        Embedder(folder, threads=1, cache=cache).embed_documents(TEXTS)
        place = shared / f"made-{number}"
        place.mkdir()
        if not ending:
            cache.close()
        for path in shared.glob(f"{number}-{NAME}*"):
            shutil.copy(path, place / path.name.removeprefix(f"{number}-"))
        cache.close()

    def attack(rng: random.Random, files: Path) -> Result:
        path = files / NAME
        shutil.copytree(shared / f"made-{rng.choice((0, 0, 1))}", files, dirs_exist_ok=True)
        rng.choice(CHANGES)(rng, path)
        texts = [*rng.sample(TEXTS, ASKED), "mat mat mat mat", "sat"]
        missing = [text for text in texts if text not in truth]
        known = truth | dict(zip(missing, Embedder(folder, threads=1).embed_documents(missing), strict=True))
        return check(folder, path, texts, known, forks=rng.random() < 0.05)

    return attack


def check(folder: Path, path: Path, texts: list[str], truth: dict[str, Float32], *, forks: bool) -> Result:
    """The law."""
    expected = np.stack([truth[text] for text in texts])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            embedder = Embedder(folder, threads=1, cache=path)
            assert (embedder.embed_documents(texts).view("u4") == expected.view("u4")).all(), "a wrong vector"
            assert (embedder.embed_query(texts[0]).view("u4") == expected[0].view("u4")).all(), "a wrong vector"
        if forks:
            _fork_in_use(embedder, texts, expected)
        try:
            Cache(path).state()
            Cache(path).trim(20_000)
        except CacheError:
            pass
        embedder = Embedder(folder, threads=1, cache=path)
        assert (embedder.embed_documents(texts).view("u4") == expected.view("u4")).all(), "a wrong vector"
    strange = {warning.category.__name__ for warning in told} - {CacheWarning.__name__, ResourceWarning.__name__}
    assert not strange, f"warnings of other kinds: {strange}"
    return Result("refused", "CacheWarning") if told else Result()


def _fork_in_use(embedder: Embedder, texts: list[str], expected: Float32) -> None:
    """While a thread uses the cache, the process is forked; each child embeds, and ends."""
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            embedder.embed_documents(texts)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        for _ in range(5):
            time.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                same = (embedder.embed_documents(texts).view("u4") == expected.view("u4")).all()
                os._exit(0 if same else 1)
            deadline = time.monotonic() + 5
            while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
                time.sleep(0.005)
            assert ended[0], "a forked process hangs"
            assert ended[1] == 0, f"a forked process ended with {ended[1]}"
    finally:
        stop.set()
        thread.join()


def _by_sql(rng: random.Random, path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.executescript(rng.choice(STATEMENTS))
    except sqlite3.Error:  # Of some, this version of SQLite will not hear.
        pass
    finally:
        connection.close()


def _in_vectors(rng: random.Random, path: Path) -> None:
    """Bytes of the vectors themselves, as a failing disk changes them."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 5, 50, 500))):
        place = rng.randrange(min(len(content), 16384), len(content)) if len(content) > 16384 else 0
        if content:
            content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _pages(rng: random.Random, path: Path) -> None:
    """Pages that changed places, are zeros, or are an older or another page."""
    content = path.read_bytes()
    pages = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    for _ in range(rng.choice((1, 2, 10))):
        first, second = rng.randrange(len(pages)), rng.randrange(len(pages))
        pages[first] = rng.choice((pages[second], bytes(4096), rng.randbytes(4096)))
    path.write_bytes(b"".join(pages))


def _beside(rng: random.Random, path: Path) -> None:
    """The files that SQLite keeps beside it."""
    beside = path.with_name(path.name + rng.choice(("-wal", "-shm", "-journal")))
    if not beside.exists():
        beside.write_bytes(rng.choice((b"", rng.randbytes(32), rng.randbytes(40_000), path.read_bytes())))
    rng.choice((*strange_files.OTHER_BYTES, *strange_files.NO_FILES))(rng, beside)


def _odd(rng: random.Random, path: Path) -> None:
    rng.choice(strange_files.NO_FILES)(rng, path)


def _other_bytes(rng: random.Random, path: Path) -> None:
    rng.choice(strange_files.OTHER_BYTES)(rng, path)


def _none(_rng: random.Random, _path: Path) -> None:
    """Sound, as a control."""


CHANGES: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_by_sql, _by_sql, _by_sql, _in_vectors, _in_vectors, _pages, _pages, _beside, _odd, _other_bytes),
    *(_other_bytes, _none),
)
TARGET = Target(prepare, cases=1000, short=40, law="every vector is the true one to the bit; CacheError, CacheWarning")
