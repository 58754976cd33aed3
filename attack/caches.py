"""Target ``caches``: damaged caches. Every vector is right, bit for bit; the only errors are ``CacheError`` and
``CacheWarning``.
"""

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
from attack.child import Case, Result
from attack.target import Target
from pellucid import Embedder
from pellucid.cache.store import Cache
from pellucid.errors import CacheError, CacheWarning
from pellucid.types import Float32

WORDS = ("the", "cat", "dog", "sat", "on", "mat", "query", "passage")
TEXTS = [f"{first} {second} {third}" for first in WORDS for second in WORDS for third in WORDS[:4]]
SAMPLE_SIZE = 40
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


def prepare(shared: Path) -> Case:
    folder = tiny.write_model(shared / "model", seed=3)
    truth = dict(zip(TEXTS, Embedder(folder, threads=1).embed_documents(TEXTS), strict=True))
    for number, ending in enumerate(("", "-wal")):  # A closed cache, and the cache of a killed process.
        cache = Cache(shared / f"{number}-{NAME}")
        Embedder(folder, threads=1, cache=cache).embed_documents(TEXTS)
        copies = shared / f"made-{number}"
        copies.mkdir()
        if not ending:
            cache.close()
        for path in shared.glob(f"{number}-{NAME}*"):
            shutil.copy(path, copies / path.name.removeprefix(f"{number}-"))
        cache.close()

    def case(rng: random.Random, files: Path) -> Result:
        path = files / NAME
        shutil.copytree(shared / f"made-{rng.choice((0, 0, 1))}", files, dirs_exist_ok=True)
        rng.choice(CHANGES)(rng, path)
        texts = [*rng.sample(TEXTS, SAMPLE_SIZE), "mat mat mat mat", "sat"]
        missing = [text for text in texts if text not in truth]
        vectors = truth | dict(zip(missing, Embedder(folder, threads=1).embed_documents(missing), strict=True))
        return check(folder, path, texts, vectors, fork=rng.random() < 0.05)

    return case


def check(folder: Path, path: Path, texts: list[str], truth: dict[str, Float32], *, fork: bool) -> Result:
    """Check the invariant. ``fork``: also fork the process while it uses the cache."""
    expected = np.stack([truth[text] for text in texts])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            embedder = Embedder(folder, threads=1, cache=path)
            assert (embedder.embed_documents(texts).view("u4") == expected.view("u4")).all(), "a vector is wrong"
            assert (embedder.embed_query(texts[0]).view("u4") == expected[0].view("u4")).all(), "a vector is wrong"
        if fork:
            _fork_in_use(embedder, texts, expected)
        try:
            Cache(path).state()
            Cache(path).trim(20_000)
        except CacheError:
            pass
        embedder = Embedder(folder, threads=1, cache=path)
        assert (embedder.embed_documents(texts).view("u4") == expected.view("u4")).all(), "a vector is wrong"
    unexpected = {warning.category.__name__ for warning in caught} - {CacheWarning.__name__, ResourceWarning.__name__}
    assert not unexpected, f"unexpected warnings: {unexpected}"
    return Result("refused", "CacheWarning") if caught else Result()


def _fork_in_use(embedder: Embedder, texts: list[str], expected: Float32) -> None:
    """Fork the process several times while a thread uses the cache. Each child embeds the texts and ends."""
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


def _sql_statement(rng: random.Random, path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.executescript(rng.choice(STATEMENTS))
    except sqlite3.Error:  # This version of SQLite refuses some of the statements.
        pass
    finally:
        connection.close()


def _vector_bits(rng: random.Random, path: Path) -> None:
    """Flip bits of the vectors themselves, as a failing disk does."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 5, 50, 500))):
        place = rng.randrange(min(len(content), 16384), len(content)) if len(content) > 16384 else 0
        if content:
            content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _pages(rng: random.Random, path: Path) -> None:
    """Overwrite pages with other pages, zeros or random bytes."""
    content = path.read_bytes()
    pages = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    for _ in range(rng.choice((1, 2, 10))):
        first, second = rng.randrange(len(pages)), rng.randrange(len(pages))
        pages[first] = rng.choice((pages[second], bytes(4096), rng.randbytes(4096)))
    path.write_bytes(b"".join(pages))


def _sqlite_file(rng: random.Random, path: Path) -> None:
    """Damage a file that SQLite keeps beside the cache: its write-ahead log, shared memory or journal."""
    file = path.with_name(path.name + rng.choice(("-wal", "-shm", "-journal")))
    if not file.exists():
        file.write_bytes(rng.choice((b"", rng.randbytes(32), rng.randbytes(40_000), path.read_bytes())))
    rng.choice((*strange_files.CONTENT_CHANGES, *strange_files.NON_FILES))(rng, file)


def _non_file(rng: random.Random, path: Path) -> None:
    rng.choice(strange_files.NON_FILES)(rng, path)


def _content_change(rng: random.Random, path: Path) -> None:
    rng.choice(strange_files.CONTENT_CHANGES)(rng, path)


def _no_change(_rng: random.Random, _path: Path) -> None:
    """Leave the cache as it is, as a control."""


CHANGES: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_sql_statement, _sql_statement, _sql_statement, _vector_bits, _vector_bits, _pages, _pages),
    *(_sqlite_file, _non_file, _content_change, _content_change, _no_change),
)
TARGET = Target(
    prepare,
    cases=1000,
    short=40,
    invariant="every vector is right, bit for bit; the only errors are CacheError and CacheWarning",
)
