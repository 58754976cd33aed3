"""Is a file still the one that was read before? Its size and the time of its last change tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from pellucid.errors import UnreadableFileError, printable

Stamp: TypeAlias = tuple[int, int]
"""The size of a file in bytes, and when it was last changed, in nanoseconds since 1970."""


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file as it is now.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def unchanged(path: Path, stamp: Stamp) -> Iterator[None]:
    """Refuse what the block read from a file if the file is no longer the one that has the stamp.

    The error replaces any other: what a block finds in such a file is not worth a message.

    Raises:
        UnreadableFileError: the file was changed since it had the stamp, or is gone.
    """
    try:
        yield
    except Exception as error:
        _check(path, stamp, error)
        raise
    _check(path, stamp)


def _check(path: Path, stamp: Stamp, cause: Exception | None = None) -> None:
    try:
        if stamp_of(path) == stamp:
            return
    except OSError as error:
        cause = cause or error
    raise UnreadableFileError(
        f"{printable(path)} was changed while it was read, so the result would be wrong. No file was written. Run the "
        f"command again when no other program writes to that file."
    ) from cause
