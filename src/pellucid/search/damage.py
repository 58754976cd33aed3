"""Finds damaged files of an index before LanceDB reads them: it may crash on them, or return wrong vectors.

LanceDB never changes a file that it has written. So an index can record the size and SHA-256 of each file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pellucid.reprs import short_repr

ALWAYS_HASHED = 1 << 20
"""A file of at most this many bytes is hashed each time. A larger one is trusted if its time of change is the same."""
_HINTS = ("latest_version_hint.json",)
"""Files that LanceDB does change, and does not need."""


@dataclass(frozen=True)
class FileRecord:
    """A file as it was: bytes, nanoseconds since 1970 when it was last changed, and the SHA-256 in hexadecimal."""

    size: int
    modified: int
    sha256: str

    __repr__ = short_repr


def record(folder: Path, known: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """Record all files below a folder, by their path from there.

    Args:
        folder: the folder.
        known: an earlier record of it. Files with the same size and time of change are not hashed again.
    """
    records = {}
    for path in _files(folder):
        name, status = path.relative_to(folder).as_posix(), path.stat()
        before = known.get(name)
        if before is not None and (before.size, before.modified) == (status.st_size, status.st_mtime_ns):
            records[name] = before
        else:
            records[name] = FileRecord(status.st_size, status.st_mtime_ns, _sha256(path))
    return records


def first_damaged(folder: Path, records: Mapping[str, FileRecord]) -> str | None:
    """The first file that was changed since it was recorded, or None.

    A missing file is not damaged: LanceDB removes files that it no longer needs, and says if it misses one.

    Raises:
        OSError: a file cannot be read.
    """
    return next((name for name, before in records.items() if _is_damaged(folder / name, before)), None)


def _is_damaged(path: Path, before: FileRecord) -> bool:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != before.size:
            return True
        if before.size > ALWAYS_HASHED and status.st_mtime_ns == before.modified:
            return False
        return _sha256(path) != before.sha256
    except FileNotFoundError:  # It may disappear at any moment: another process may be writing to the index.
        return False


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in sorted(names) if name not in _HINTS)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
