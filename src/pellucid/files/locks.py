"""Locks between processes: filelock, which is imported here and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Keep other processes out of the block.

    Args:
        path: the file of the lock; it is made if it is missing.
        on_wait: called before waiting, if another process has the lock. Raise an error there in order not to wait.

    Raises:
        OSError: the file cannot be made or locked.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        is_free = False
    else:
        is_free = True
    if not is_free:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
