"""Chunks that are embedded but not in the index yet: Arrow files, kept until the index has them.

Each file is written whole, and its name has the SHA-256 of its content. So what a process embedded before it was killed
is found again whole, or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from pellucid.files.own_folders import INDEX_STAGED
from pellucid.files.whole import in_one_step
from pellucid.search.rows import Row, to_table, vectors_by_digest
from pellucid.tables import arrow
from pellucid.types import Float32


class Staging:
    """What this process has embedded, and what earlier processes had.

    Args:
        folder: the index.
        space: a name for what the vectors depend on besides their texts.
        dimensions: the length of a vector.
    """

    def __init__(self, folder: Path, space: str, dimensions: int) -> None:
        self._folder = folder / INDEX_STAGED
        self._space = space
        self._dimensions = dimensions
        self._process = uuid.uuid4().hex
        self._own: list[Path] = []

    def add(self, rows: Sequence[Row], vectors: Float32) -> None:
        """Keep chunks and their vectors, ``float32[n, d]``.

        Raises:
            OSError: they cannot be written.
        """
        content = arrow.to_file_format(to_table(rows, vectors))
        self._folder.mkdir(exist_ok=True)
        name = f"{self._space}-{self._process}-{len(self._own)}-{hashlib.sha256(content).hexdigest()}.arrow"
        with in_one_step(self._folder / name) as path:
            path.write_bytes(content)
        self._own.append(self._folder / name)

    def vectors(self) -> dict[str, Float32]:
        """The vectors that any process has embedded so far, by the digest of their texts: ``float32[d]``."""
        vectors: dict[str, Float32] = {}
        for path in sorted(self._folder.glob(f"{self._space}-*.arrow")):
            table = _read_table(path)
            if table is not None:  # What is damaged is embedded again.
                vectors |= vectors_by_digest(table, self._dimensions)
        return vectors

    def batches(self) -> Iterator[arrow.Batch]:
        """What this process has embedded, in order. Only one file is in memory at a time.

        Raises:
            OSError: a file is gone or damaged.
        """
        for path in self._own:
            table = _read_table(path)
            if table is None:
                raise OSError(f"{path.name} was changed by another program")
            yield from table.to_batches()

    def is_empty(self) -> bool:
        """Whether this process has embedded nothing."""
        return not self._own

    def clear(self) -> None:
        """Remove what all processes have kept.

        Raises:
            OSError: something cannot be removed.
        """
        self._own = []
        if self._folder.exists():
            shutil.rmtree(self._folder)


def _read_table(path: Path) -> arrow.Table | None:
    """The table in a file; None if its content does not have the digest in its name."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
        return None
    return arrow.from_file_format(content)
