"""Vectors that were computed before, on disk: SQLite, which is imported here and nowhere else.

A vector is found by what it is made from: the model's files, the engine and its arithmetic, the prompt, normalisation,
the dimensions that are kept, and the text. Of the texts only a digest is kept. What has not been asked for longest goes
when the file grows past its bound. Several processes and threads may use one file; a process that is killed leaves it
sound (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pellucid.errors import CacheError, CacheWarning, OptionError
from pellucid.types import Float32, Int32

MOST_BYTES = 4 << 30
_FORMAT = 1
_KEYS_PER_QUERY = 512
_LOCK_SECONDS = 30.0
_KEPT_WHEN_FULL = 0.9
"""Of the bound: making room for one vector at a time would look for the oldest at every write."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    key BLOB NOT NULL UNIQUE,
    day INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    vector BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_day ON vectors (day);
"""


@dataclass(frozen=True)
class Space:
    """What a vector depends on beside its text. Vectors of different spaces are never taken for each other.

    Attributes:
        model: the digest of the model's files.
        engine, dtype: what did the arithmetic, and in what.
        prompt: what was put before the text.
        normalize, truncate_dim: as they were asked for.
    """

    model: str
    engine: str
    dtype: str
    prompt: str
    normalize: bool | None
    truncate_dim: int | None

    def keys(self, texts: Sequence[str]) -> list[bytes]:
        """A key of 16 bytes for each text: BLAKE2b (RFC 7693), keyed with a digest of this space."""
        own = hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=32).digest()
        blake = hashlib.blake2b(digest_size=16, key=own)
        keys = []
        for text in texts:
            each = blake.copy()
            each.update(text.encode())
            keys.append(each.digest())
        return keys


@dataclass(frozen=True, eq=False)
class Found:
    """Vectors that were found.

    Attributes:
        rows: which row each key has.
        vectors: ``float32[m, d]``.
        tokens: ``int32[m]``: how many tokens each text had before it was cut.
    """

    rows: dict[bytes, int]
    vectors: Float32
    tokens: Int32


@dataclass(frozen=True)
class CacheState:
    """What a cache holds: vectors, the bytes that they take on disk, and the days of the oldest and the newest use."""

    vectors: int
    bytes: int
    oldest: datetime.date | None
    newest: datetime.date | None


class Cache:
    """A file of vectors.

    Args:
        path: the file; it is made where there is none.
        max_bytes: how large it may grow, about.

    Raises:
        CacheError: the file is something else, or cannot be opened or made.

    While it is used, an error of the disk is a :class:`~pellucid.errors.CacheWarning`, once: what cannot be kept is
    computed again, and nothing is lost.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MOST_BYTES) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise OptionError(f"max_bytes={max_bytes!r} must be a whole number of at least 1.")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._warned = False
        with self._opened():
            pass

    def get(self, keys: Sequence[bytes], dimensions: int) -> Found:
        """Those of ``keys`` that are there, of vectors of so many dimensions; what is found counts as used today."""
        rows: dict[bytes, int] = {}
        blobs: list[bytes] = []
        tokens: list[int] = []
        with self._told("read"), self._opened() as connection:
            today = _today()
            stale: list[tuple[int, bytes]] = []
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, day, tokens, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608  marks only
                for key, day, count, vector in connection.execute(query, some):
                    if len(vector) != 4 * dimensions:  # Nothing of ours: computed again, it is written over.
                        continue
                    rows[key] = len(blobs)
                    blobs.append(vector)
                    tokens.append(count)
                    if day != today:
                        stale.append((today, key))
            if stale:
                with connection:
                    connection.executemany("UPDATE vectors SET day = ? WHERE key = ?", stale)
        vectors = np.frombuffer(b"".join(blobs), dtype="<f4").astype(np.float32, copy=False).reshape(-1, dimensions)
        return Found(rows, vectors, np.array(tokens, dtype=np.int32))

    def put(self, keys: Sequence[bytes], vectors: Float32, tokens: Sequence[int]) -> None:
        """Keep ``vectors`` (``[n, d]``) under their keys."""
        today = _today()
        blobs = np.ascontiguousarray(vectors, dtype="<f4")
        rows = [(key, today, count, row.tobytes()) for key, count, row in zip(keys, tokens, blobs, strict=True)]
        with self._told("written"), self._opened() as connection:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
            if _bytes_used(connection) > self.max_bytes:
                _shrink(connection, int(self.max_bytes * _KEPT_WHEN_FULL))

    def state(self) -> CacheState:
        """What is there.

        Raises:
            CacheError: the file cannot be read.
        """
        with self._translated(), self._opened() as connection:
            count, oldest, newest = connection.execute("SELECT count(*), min(day), max(day) FROM vectors").fetchone()
            return CacheState(count, _bytes_used(connection), _date(oldest), _date(newest))

    def trim(self, max_bytes: int) -> None:
        """Let go of what was not asked for longest, until the rest takes at most ``max_bytes``; the file gets smaller.

        Raises:
            CacheError: the file cannot be written.
        """
        with self._translated(), self._opened() as connection:
            _shrink(connection, max_bytes)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def __reduce__(self) -> tuple[Callable[[], Cache], tuple[()]]:
        """Pickled as its path, it is opened again where it arrives."""
        return functools.partial(Cache, self.path, max_bytes=self.max_bytes), ()

    def __del__(self) -> None:
        """Who forgets to close it does not leave that to SQLite."""
        if hasattr(self, "_connection"):
            self.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time; a process that was forked gets one of its own."""
        with self._lock:
            if self._connection is None or self._process != os.getpid():
                with self._translated():
                    self._connection = _connect(self.path)
                self._process = os.getpid()
            yield self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise CacheError(
                f"the cache {self.path} cannot be used ({error}). Name another file, or remove this one."
            ) from error

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn an error into a warning, the first time."""
        try:
            yield
        except (sqlite3.Error, CacheError) as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"the cache {self.path} cannot be {what} ({error}). What is not found there is computed.",
                    CacheWarning,
                    stacklevel=6,
                )


def _connect(path: Path) -> sqlite3.Connection:
    if path.is_dir() or not path.parent.is_dir():
        raise CacheError(f"the cache {path} cannot be made: it is a folder, or its folder is not there.")
    connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, check_same_thread=False)
    try:
        version = _format_of(connection, path)
        if version == 0:  # Some ten vectors a page; of pages of 4 KiB a third would be empty.
            connection.execute("PRAGMA page_size = 16384")
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may lose the last vectors, which are computed again, and never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection


def _format_of(connection: sqlite3.Connection, path: Path) -> int:
    """The version of what is there; 0 for nothing."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if version not in {0, _FORMAT} or (tables and "vectors" not in tables):
        raise CacheError(f"{path} is a database of something else, or of another version. Name another file.")
    return version


def _bytes_used(connection: sqlite3.Connection) -> int:
    """Of the file, without pages that are free."""
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGES)
    return int((pages - free) * size)


_PAGES = ("page_count", "freelist_count", "page_size")


def _shrink(connection: sqlite3.Connection, most: int) -> None:
    """Remove the vectors that were not asked for longest."""
    while (used := _bytes_used(connection)) > most:
        count = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
        if not count:
            return
        leaving = -(-count * (used - most) // used)
        with connection:
            connection.execute(
                "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY day, rowid LIMIT ?)", (leaving,)
            )


def _today() -> int:
    return datetime.datetime.now(datetime.UTC).date().toordinal()


def _date(day: int | None) -> datetime.date | None:
    return None if day is None else datetime.date.fromordinal(day)
