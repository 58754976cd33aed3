"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

UNFINISHED = ".unfinished-"
"""How the names of the folders begin that a process that was killed may leave."""


@contextlib.contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """A file to write to, which becomes ``path`` when all of it is on the disk.

    Whatever goes wrong leaves what was there before. Until then it lies in a hidden folder beside, under its own name,
    because to some libraries the ending says the kind, and so that no pattern finds it.

    Raises:
        OSError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        yield unfinished
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(path)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed have left; the caller knows that nobody else writes there."""
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
