"""The SQLite file of a cache: opening it, checking that it is one, and keeping it small.

``sqlite3`` is imported here and nowhere else. Several processes may use one file at the same time. A process that is
killed leaves the file sound (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from pathlib import Path

from pellucid.errors import CacheError, printable

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises for a file that it cannot use. It is a UnicodeDecodeError if its message quotes a damaged name."""
_LOCK_SECONDS = 9.0  # How long to wait for a process that is writing. A call may wait twice.
_FORMAT = 2  # Format 1 had no checksums.
_MAX_VALUE_BYTES = 1 << 28
"""A damaged file may claim any size. A text with 32,768 tokens, and 1,024 numbers for each, has half as much."""
_SCHEMA = (
    "CREATE TABLE vectors (key BLOB NOT NULL UNIQUE, day INTEGER NOT NULL, tokens INTEGER NOT NULL, "
    "vector BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE INDEX by_day ON vectors (day)",
)


def connect(path: Path) -> sqlite3.Connection:
    """Open a cache. If there is no file, create one that only its owner can read.

    Raises:
        CacheError: the file is not a cache, or cannot be opened or created.
        sqlite3.Error, UnicodeDecodeError: SQLite cannot read or write it.
    """
    _check_place(path)
    # The path is absolute because ":memory:" means something else to SQLite, and because the process may change its
    # working directory.
    connection = sqlite3.connect(path.absolute(), timeout=_LOCK_SECONDS, check_same_thread=False)
    try:
        # The file may be hostile or damaged: https://www.sqlite.org/security.html
        connection.text_factory = bytes
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        is_new = _check_content(connection, path)
        if is_new:  # A page holds about ten dense vectors. With pages of 4 KiB, a third of the file would be empty.
            connection.execute("PRAGMA page_size = 16384")
        _use_write_ahead_log(connection)
        # A power cut may lose the latest vectors, which are computed again, but never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            _write_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def bytes_used(connection: sqlite3.Connection) -> int:
    """The size of the file without its free pages, in bytes."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def shrink(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Remove the least recently used vectors, until the rest fits in ``max_bytes``.

    Raises:
        sqlite3.DatabaseError: the file is damaged, and its vectors cannot be removed.
    """
    while (used := bytes_used(connection)) > max_bytes:
        count = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
        if not count:
            return
        surplus = -(-count * (used - max_bytes) // used)
        oldest = "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY day, rowid LIMIT ?)"
        with connection:
            removed = connection.execute(oldest, (surplus,)).rowcount
        if not removed:
            raise sqlite3.DatabaseError("it is damaged: vectors that it lists cannot be removed")


def _check_place(path: Path) -> None:
    """Create the file if it is missing. Refuse anything but a regular file: reading from a FIFO, for example, may never
    end.
    """
    try:
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # Another process was faster, or the path is a broken link.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        companions = [path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal")]
        for file in [path, *companions]:
            with contextlib.suppress(FileNotFoundError):  # SQLite may remove its companion files at any time.
                if not stat.S_ISREG(file.stat().st_mode):
                    raise CacheError(f"{printable(file)} is not a regular file. Name another file for the cache.")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CacheError(f"the cache {printable(path)} cannot be opened or created ({reason}).") from error


def _check_content(connection: sqlite3.Connection, path: Path) -> bool:
    """True if the database is still empty. Refuse one that is neither empty nor a cache."""
    # This is a single statement, because another process could create the tables between two.
    query = "SELECT user_version, sql FROM pragma_user_version LEFT JOIN sqlite_master"
    rows = connection.execute(query).fetchall()
    if rows == [(0, None)]:
        return True
    version, statements = rows[0][0], {sql for _, sql in rows}
    if version == 1 and any(b"vectors" in (sql or b"") for sql in statements):
        raise CacheError(
            f"the cache {printable(path)} was made by an earlier version of Pellucid, so its vectors have no "
            f"checksums. Remove it, or name another file. The vectors are then computed again."
        )
    # The None is the index that SQLite itself makes for UNIQUE; it has no SQL.
    if version != _FORMAT or statements != {None, *(statement.encode() for statement in _SCHEMA)}:
        raise CacheError(
            f"{printable(path)} is a database of something else, or of another version. Name another file."
        )
    return False


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let other processes read while one writes.

    For this statement, SQLite does not wait for a process that has the file open too: it says "database is locked" at
    once. Several processes may create the same cache, so the waiting is done here.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # The low byte of an extended code.
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _write_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables in one transaction, unless another process was faster."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if _check_content(connection, path):
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
