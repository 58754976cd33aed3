"""Vectors that were computed before, on disk: SQLite, which is imported here and nowhere else.

A vector is found by what it is made from: the model's files, the engine and its arithmetic, the prompt, normalisation,
the dimensions that are kept, and the text. Of the texts only a digest is kept. What has not been asked for longest goes
when the file grows past its bound. Several processes and threads may use one file; a process that is killed leaves it
sound (https://www.sqlite.org/wal.html).

SQLite does not notice most damage to a file, so each row has a checksum. A row that fails it counts as missing: its
vector is computed again and written over it.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import sqlite3
import stat
import threading
import time
import warnings
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import CacheError, CacheWarning, OptionError, printable
from pellucid.types import Float32, Int32

MOST_BYTES = 4 << 30
_FORMAT = 2  # 1 had no checksums.
_KEYS_PER_QUERY = 512
_LOCK_SECONDS = 9.0  # How long to wait for a process that writes; a call may wait twice.
_KEPT_WHEN_FULL = 0.9  # Of the bound: making room for one vector at a time would look for the oldest at every write.
_LONGEST_VALUE = 1 << 24  # Bytes: a damaged file may claim any size.
_MOST_TOKENS = np.iinfo(np.int32).max
_FAILURES = (sqlite3.Error, UnicodeDecodeError)  # The second, where an error quotes a damaged name.
_LAST_DAY = datetime.date.max.toordinal()
_SCHEMA = (
    "CREATE TABLE vectors (key BLOB NOT NULL UNIQUE, day INTEGER NOT NULL, tokens INTEGER NOT NULL, "
    "vector BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE INDEX by_day ON vectors (day)",
)


def keys_of(fingerprint: bytes, texts: Sequence[str]) -> list[bytes]:
    """A key of 16 bytes for each text: BLAKE2b (RFC 7693), keyed with what else its vector depends on."""
    blake = hashlib.blake2b(digest_size=16, key=fingerprint)
    keys = []
    for text in texts:
        each = blake.copy()
        each.update(text.encode())
        keys.append(each.digest())
    return keys


@dataclass(frozen=True, eq=False)
class CachedVectors:
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
        path: the file; it is made where there is none, and only its owner may read it.
        max_bytes: how large it may grow, about.

    Raises:
        CacheError: the file is something else, or cannot be opened or made.

    While it is used, an error of the disk and a damaged vector are a :class:`~pellucid.errors.CacheWarning`, once each:
    the vector is computed again, and nothing is lost.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MOST_BYTES) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise OptionError(f"max_bytes={max_bytes!r} must be a whole number of at least 1.")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._warned: set[str] = set()
        _CACHES.add(self)
        with self._open():
            pass

    def get(self, keys: Sequence[bytes], dimensions: int) -> CachedVectors:
        """Those of ``keys`` that are there, of vectors of so many dimensions; what is found counts as used today."""
        rows: dict[bytes, int] = {}
        blobs: list[bytes] = []
        tokens: list[int] = []
        damaged = 0
        with self._warn_on_error("read"), self._open() as connection:
            today = _today()
            stale: list[tuple[int, bytes]] = []
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                some = keys[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, day, tokens, vector, checksum FROM vectors WHERE key IN ({marks})"  # noqa: S608
                for key, day, count, vector, checksum in connection.execute(query, some):
                    if key in rows or not _is_sound(key, count, vector, checksum, dimensions):
                        damaged += 1
                        continue
                    rows[key] = len(blobs)
                    blobs.append(vector)
                    tokens.append(count)
                    if day != today:
                        stale.append((today, key))
            if stale:
                with connection:
                    connection.executemany("UPDATE vectors SET day = ? WHERE key = ?", stale)
        if damaged:
            self._warn(
                "damage",
                f"the cache {self} is damaged: {damaged} of the vectors asked for are not what was "
                f"written. They are computed again. If this goes on, check the disk, and remove the file.",
            )
        vectors = np.frombuffer(b"".join(blobs), dtype="<f4").astype(np.float32, copy=False).reshape(-1, dimensions)
        return CachedVectors(rows, vectors, np.array(tokens, dtype=np.int32))

    def put(self, keys: Sequence[bytes], vectors: Float32, tokens: Sequence[int]) -> None:
        """Keep ``vectors`` (``[n, d]``) under their keys; one with a NaN or an infinity is not kept."""
        today = _today()
        blobs = np.ascontiguousarray(vectors, dtype="<f4")
        finite = np.isfinite(blobs).all(axis=1)
        whole = ((key, count, row.tobytes()) for key, count, row in zip(keys, tokens, blobs, strict=True))
        rows = [(key, today, count, row, _checksum(key, count, row)) for key, count, row in compress(whole, finite)]
        with self._warn_on_error("written"), self._open() as connection:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", rows)
            if _bytes_used(connection) > self.max_bytes:
                _shrink(connection, int(self.max_bytes * _KEPT_WHEN_FULL))

    def state(self) -> CacheState:
        """What is there.

        Raises:
            CacheError: the file cannot be read.
        """
        with self._translate_errors(), self._open() as connection:
            (count,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
            days = "SELECT min(day), max(day) FROM vectors WHERE day BETWEEN 1 AND ?"
            oldest, newest = connection.execute(days, (_LAST_DAY,)).fetchone()
            return CacheState(count, _bytes_used(connection), _date(oldest), _date(newest))

    def trim(self, max_bytes: int) -> None:
        """Let go of what was not asked for longest, until the rest takes at most ``max_bytes``; the file gets smaller.

        Raises:
            CacheError: the file cannot be written.
        """
        with self._translate_errors(), self._open() as connection:
            _shrink(connection, max_bytes)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __str__(self) -> str:
        return printable(self.path)

    def __reduce__(self) -> tuple[Callable[[], Cache], tuple[()]]:
        """Pickled as its path, it is opened again where it arrives."""
        return functools.partial(Cache, self.path, max_bytes=self.max_bytes), ()

    def __del__(self) -> None:
        """Who forgets to close it does not leave that to SQLite."""
        if hasattr(self, "_connection"):
            self.close()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time."""
        with self._lock:
            if self._connection is None:
                with self._translate_errors():
                    self._connection = _connect(self.path)
            yield self._connection

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            reason = printable(str(error))
            raise CacheError(
                f"the cache {self} cannot be used ({reason}). Name another file, or remove this one."
            ) from error

    @contextlib.contextmanager
    def _warn_on_error(self, what: str) -> Iterator[None]:
        try:
            yield
        except (*_FAILURES, CacheError) as error:
            reason = printable(str(error))
            self._warn("error", f"the cache {self} cannot be {what} ({reason}). What is not found there is computed.")

    def _warn(self, kind: str, message: str) -> None:
        """Warn, the first time that this kind of thing happens."""
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, CacheWarning, stacklevel=6)


_CACHES: weakref.WeakSet[Cache] = weakref.WeakSet()
_FORK_LOCK = threading.Lock()
_FORKING: list[Cache] = []


def _before_fork() -> None:
    """Close every cache, so that the child gets no lock that a thread holds, and no file that SQLite has open.

    SQLite forbids carrying a connection over a fork (https://www.sqlite.org/howtocorrupt.html, 2.6). Parent and child
    open the file again when they next use it.
    """
    _FORK_LOCK.acquire()
    while caches := [cache for cache in _CACHES if cache not in _FORKING]:  # Again: a thread may have made one.
        for cache in caches:
            cache._lock.acquire()
            _FORKING.append(cache)
            cache.close()


def _after_fork() -> None:
    for cache in _FORKING:
        cache._lock.release()
    _FORKING.clear()
    _FORK_LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _checksum(key: bytes, tokens: int, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(b"%b%d" % (key, tokens)))


def _is_sound(key: Any, tokens: Any, vector: Any, checksum: Any, dimensions: int) -> bool:
    """Whether a row is what :meth:`Cache.put` wrote. A damaged file may have a value of any type anywhere."""
    if not (isinstance(key, bytes) and isinstance(vector, bytes) and isinstance(tokens, int)):
        return False
    possible = len(vector) == 4 * dimensions and 0 <= tokens <= _MOST_TOKENS
    return possible and bool(checksum == _checksum(key, tokens, vector))


def _connect(path: Path) -> sqlite3.Connection:
    """Open a cache, or make one.

    Raises:
        CacheError, sqlite3.Error: something else is there, or it cannot be read or written.
    """
    _check_place(path)
    # Absolute, because of ":memory:", and because the process may go to another folder.
    connection = sqlite3.connect(path.absolute(), timeout=_LOCK_SECONDS, check_same_thread=False)
    try:
        # A hostile or damaged file: https://www.sqlite.org/security.html
        connection.text_factory = bytes
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        is_new = _check_content(connection, path)
        if is_new:  # Some ten vectors a page; of pages of 4 KiB a third would be empty.
            connection.execute("PRAGMA page_size = 16384")
        _use_write_ahead_log(connection)
        # A power cut may lose the last vectors, which are computed again, and never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            _write_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_place(path: Path) -> None:
    """Refuse what is not a regular file, such as a FIFO, which may never answer; make the file if there is none."""
    try:
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # Another process was faster, or it is a broken link.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        beside = [path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal")]
        for file in [path, *beside]:
            with contextlib.suppress(FileNotFoundError):  # SQLite removes those beside it when it likes.
                if not stat.S_ISREG(file.stat().st_mode):
                    raise CacheError(f"{printable(file)} is not a regular file. Name another file for the cache.")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CacheError(f"the cache {printable(path)} cannot be opened or made ({reason}).") from error


def _check_content(connection: sqlite3.Connection, path: Path) -> bool:
    """Refuse a database of something else; say whether nothing is there yet."""
    # One statement, so that another process cannot make the tables between two.
    query = "SELECT user_version, sql FROM pragma_user_version LEFT JOIN sqlite_master"
    rows = connection.execute(query).fetchall()
    if rows == [(0, None)]:
        return True
    version, found = rows[0][0], {sql for _, sql in rows}
    if version == 1 and any(b"vectors" in (sql or b"") for sql in found):
        raise CacheError(
            f"the cache {printable(path)} was made by an earlier version of Pellucid, whose vectors have no checksums. "
            f"Remove it, or name another file; they are computed again."
        )
    # SQLite makes an index of its own for UNIQUE, without SQL.
    if version != _FORMAT or found != {None, *(statement.encode() for statement in _SCHEMA)}:
        raise CacheError(
            f"{printable(path)} is a database of something else, or of another version. Name another file."
        )
    return False


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let processes read while one writes.

    SQLite does not wait here for a process that has the file open too (it says "database is locked" at once), so this
    does: several processes may make the same new cache.
    """
    last_try = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # The low byte of an extended code.
            if not is_busy or time.monotonic() > last_try:
                raise
            time.sleep(0.01)
        else:
            return


def _write_schema(connection: sqlite3.Connection, path: Path) -> None:
    """All at once, unless another process was faster."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if _check_content(connection, path):
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _bytes_used(connection: sqlite3.Connection) -> int:
    """Of the file, without pages that are free."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def _shrink(connection: sqlite3.Connection, most: int) -> None:
    """Remove the vectors that were not asked for longest."""
    while (used := _bytes_used(connection)) > most:
        count = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
        if not count:
            return
        leaving = -(-count * (used - most) // used)
        oldest = "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY day, rowid LIMIT ?)"
        with connection:
            gone = connection.execute(oldest, (leaving,)).rowcount
        if not gone:
            raise sqlite3.DatabaseError("it is damaged: vectors that it lists cannot be removed")


def _today() -> int:
    return datetime.datetime.now(datetime.UTC).date().toordinal()


def _date(day: object) -> datetime.date | None:
    """The date of a day; None for none, and for what a damaged index gives though it was not asked for."""
    return datetime.date.fromordinal(day) if isinstance(day, int) and 1 <= day <= _LAST_DAY else None
