"""A file that keeps vectors, so that none is computed twice.

Each row has what a task makes of one text: a vector, a sparse vector, or the vectors of its tokens. It is found by
everything it depends on: the model's files, the engine and its arithmetic, the task and its options, the prompt, and
the text. The file holds a digest of each text, not the text. When it grows past its limit, the least recently used rows
are removed.

SQLite does not notice most damage to a file, so each row has a checksum. A row that fails it counts as missing: its
text is computed again and overwrites the row.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from pellucid.cache.codecs import Codec
from pellucid.cache.database import FAILURES, bytes_used, connect, shrink
from pellucid.errors import CacheError, CacheWarning, OptionError, printable, warn
from pellucid.reprs import short_repr, short_text
from pellucid.types import Int32

if TYPE_CHECKING:
    from sqlite3 import Connection

Result = TypeVar("Result")

DEFAULT_MAX_BYTES = 4 << 30
_KEYS_PER_QUERY = 512
_SHRINK_TO = 0.9  # Of max_bytes. If it made room for one vector at a time, every write would look for the oldest.
_MAX_TOKENS = np.iinfo(np.int32).max
_LAST_DAY = datetime.date.max.toordinal()


def make_keys(fingerprint: bytes, texts: Sequence[str]) -> list[bytes]:
    """A key of 16 bytes for each text.

    It is the text's BLAKE2b (RFC 7693), keyed with ``fingerprint``, which stands for everything else that the vector
    depends on.
    """
    blake = hashlib.blake2b(digest_size=16, key=fingerprint)
    keys = []
    for text in texts:
        digest = blake.copy()
        digest.update(text.encode())
        keys.append(digest.digest())
    return keys


@dataclass(frozen=True, eq=False)
class CachedResults(Generic[Result]):
    """What a cache has found.

    Attributes:
        rows: the row of each key that was found.
        results: the results of these ``m`` texts, such as ``float32[m, d]``.
        tokens: ``int32[m]``: how many tokens each text had before truncation.
    """

    rows: dict[bytes, int]
    results: Result
    tokens: Int32

    __repr__ = short_repr


@dataclass(frozen=True)
class CacheState:
    """What a cache holds.

    Attributes:
        vectors: the number of rows. A row has the vector of one text, its sparse vector, or the vectors of its tokens.
        bytes: the bytes that they take on disk.
        oldest: the day on which the least recently used row was used; None if there is none.
        newest: the day of the latest use.
    """

    vectors: int
    bytes: int
    oldest: datetime.date | None
    newest: datetime.date | None


class Cache:
    """A file of vectors. Several threads and processes may use it at the same time.

    Args:
        path: the file. A new one is created if it does not exist, and only its owner can read it.
        max_bytes: about how large it may grow.

    Raises:
        OptionError: ``max_bytes`` is not a whole number of at least 1.
        CacheError: the file is not a cache, or cannot be opened or created.

    A disk error or a damaged vector during use is a :class:`~pellucid.errors.CacheWarning`, once for each kind. The
    vector is then computed again, so no result is lost.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise OptionError(f"max_bytes={max_bytes!r} must be a whole number of at least 1.")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._warned: set[str] = set()
        _CACHES.add(self)
        with self._open():
            pass

    def __repr__(self) -> str:
        return f"Cache({short_text(str(self.path), 60)}, max_bytes={self.max_bytes})"

    def get(self, keys: Sequence[bytes], codec: Codec[Result]) -> CachedResults[Result]:
        """Find the results of ``keys``, and mark them as used today.

        Args:
            keys: keys from ``make_keys``.
            codec: of the kind of result. A row that does not fit it is damaged.
        """
        rows: dict[bytes, int] = {}
        blobs: list[bytes] = []
        tokens: list[int] = []
        damaged = 0
        with self._warn_on_error("read"), self._open() as connection:
            today = _today()
            stale: list[tuple[int, bytes]] = []
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                batch = keys[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(batch))
                query = f"SELECT key, day, tokens, vector, checksum FROM vectors WHERE key IN ({marks})"  # noqa: S608
                for key, day, count, vector, checksum in connection.execute(query, batch):
                    if key in rows or not _is_sound(key, count, vector, checksum, codec):
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
                f"the cache {self} is damaged: {damaged} of the requested vectors are not what was written. They are "
                f"computed again. If this happens again, check the disk, and remove the file.",
            )
        return CachedResults(rows, codec.decode(blobs), np.array(tokens, dtype=np.int32))

    def put(self, keys: Sequence[bytes], results: Result, tokens: Sequence[int], codec: Codec[Result]) -> None:
        """Store the results of texts. Whoever computed them has checked that they are finite.

        Args:
            keys: the key of each text.
            results: the results, such as ``float32[n, d]``.
            tokens: how many tokens each text had before truncation.
            codec: of the kind of result.
        """
        today = _today()
        rows = [
            (key, today, count, content, _checksum(key, count, content))
            for key, count, content in zip(keys, tokens, codec.encode(results), strict=True)
        ]
        with self._warn_on_error("written"), self._open() as connection:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", rows)
            if bytes_used(connection) > self.max_bytes:
                shrink(connection, int(self.max_bytes * _SHRINK_TO))

    def state(self) -> CacheState:
        """How much the cache holds, and when it was used.

        Raises:
            CacheError: the file cannot be read.
        """
        with self._translate_errors(), self._open() as connection:
            (count,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
            days = "SELECT min(day), max(day) FROM vectors WHERE day BETWEEN 1 AND ?"
            oldest, newest = connection.execute(days, (_LAST_DAY,)).fetchone()
            return CacheState(count, bytes_used(connection), _date(oldest), _date(newest))

    def trim(self, max_bytes: int) -> None:
        """Shrink the file to at most ``max_bytes``, by removing the least recently used vectors.

        Raises:
            CacheError: the file cannot be written.
        """
        with self._translate_errors(), self._open() as connection:
            shrink(connection, max_bytes)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file. The next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __str__(self) -> str:
        return printable(self.path)

    def __reduce__(self) -> tuple[Callable[[], Cache], tuple[()]]:
        """Pickle the path, not the vectors. Unpickling opens the file again."""
        return functools.partial(Cache, self.path, max_bytes=self.max_bytes), ()

    def __del__(self) -> None:
        """Close the file of a cache that nobody has closed."""
        if hasattr(self, "_connection"):
            self.close()

    @contextlib.contextmanager
    def _open(self) -> Iterator[Connection]:
        """The connection, for one thread at a time."""
        with self._lock:
            if self._connection is None:
                with self._translate_errors():
                    self._connection = connect(self.path)
            yield self._connection

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into :class:`~pellucid.errors.CacheError`."""
        try:
            yield
        except FAILURES as error:
            reason = printable(str(error))
            raise CacheError(
                f"the cache {self} cannot be used ({reason}). Name another file, or remove this one."
            ) from error

    @contextlib.contextmanager
    def _warn_on_error(self, verb: str) -> Iterator[None]:
        """Turn errors into a warning. ``verb`` is "read" or "written"."""
        try:
            yield
        except (*FAILURES, CacheError) as error:
            reason = printable(str(error))
            self._warn("error", f"the cache {self} cannot be {verb} ({reason}). Vectors are computed instead.")

    def _warn(self, kind: str, message: str) -> None:
        """Warn, but only once for each kind of problem."""
        if kind not in self._warned:
            self._warned.add(kind)
            warn(CacheWarning(message))


_CACHES: weakref.WeakSet[Cache] = weakref.WeakSet()
_FORK_LOCK = threading.Lock()
_LOCKED_FOR_FORK: list[Cache] = []


def _before_fork() -> None:
    """Lock and close every cache, so that the child gets neither a lock that a thread holds nor an open file.

    SQLite forbids carrying a connection across a fork (https://www.sqlite.org/howtocorrupt.html, 2.6). Parent and child
    open the file again when they next use it.
    """
    _FORK_LOCK.acquire()
    # A loop, because another thread may have created a cache in the meantime.
    while caches := [cache for cache in _CACHES if cache not in _LOCKED_FOR_FORK]:
        for cache in caches:
            cache._lock.acquire()
            _LOCKED_FOR_FORK.append(cache)
            cache.close()


def _after_fork() -> None:
    for cache in _LOCKED_FOR_FORK:
        cache._lock.release()
    _LOCKED_FOR_FORK.clear()
    _FORK_LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _checksum(key: bytes, tokens: int, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(b"%b%d" % (key, tokens)))


def _is_sound(key: Any, tokens: Any, vector: Any, checksum: Any, codec: Codec[Any]) -> bool:
    """True if a row is what :meth:`Cache.put` wrote. In a damaged file, a value may have any type."""
    if not (isinstance(key, bytes) and isinstance(vector, bytes) and isinstance(tokens, int)):
        return False
    is_whole = 0 <= tokens <= _MAX_TOKENS and bool(checksum == _checksum(key, tokens, vector))
    return is_whole and codec.fits(vector)


def _today() -> int:
    return datetime.datetime.now(datetime.UTC).date().toordinal()


def _date(day: object) -> datetime.date | None:
    """The date of a day number. None if there is none, or if a damaged file gives one that is out of range."""
    return datetime.date.fromordinal(day) if isinstance(day, int) and 1 <= day <= _LAST_DAY else None
