"""Chunks that are embedded but do not count yet: Arrow files, kept until the index has them.

Each is written in one step, and its name has the SHA-256 of what is in it. So what a process had embedded before it
was killed is found again whole, or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pellucid.files.whole import in_one_step
from pellucid.search.rows import Row, to_table
from pellucid.types import Float32

FOLDER = "staged"


class Staging:
    """What one process has embedded, and what processes before it had.

    Args:
        folder: the index.
        space: a name for what the vectors depend on beside their texts: model, arithmetic and prompt.
        dimensions: the length of a vector.
    """

    def __init__(self, folder: Path, space: str, dimensions: int) -> None:
        self._folder = folder / FOLDER
        self._space = space
        self._dimensions = dimensions
        self._process = uuid.uuid4().hex
        self._own: list[Path] = []

    def add(self, rows: Sequence[Row], vectors: Float32) -> None:
        """Keep some chunks and their vectors, ``float32[n, d]``.

        Raises:
            OSError: they cannot be written.
        """
        import pyarrow  # type: ignore[import-untyped]

        table = to_table(rows, vectors, self._dimensions)
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        content = sink.getvalue()
        self._folder.mkdir(exist_ok=True)
        name = f"{self._space}-{self._process}-{len(self._own)}-{hashlib.sha256(content).hexdigest()}.arrow"
        with in_one_step(self._folder / name) as path, path.open("wb") as file:
            file.write(content)
        self._own.append(self._folder / name)

    def vectors(self) -> dict[str, Float32]:
        """What was embedded so far, by any process, by the digest of the text: ``float32[d]``."""
        vectors: dict[str, Float32] = {}
        for path in sorted(self._folder.glob(f"{self._space}-*.arrow")):
            table = _table(path)
            if table is not None:  # What is damaged is embedded again.
                numbers = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, self._dimensions)
                vectors |= zip(table["digest"].to_pylist(), numbers, strict=True)
        return vectors

    def batches(self) -> Iterator[Any]:
        """Arrow batches of what this process has embedded, in order; one file in memory at a time.

        Raises:
            OSError: a file is gone, or is damaged.
        """
        for path in self._own:
            table = _table(path)
            if table is None:
                raise OSError(f"{path.name} was changed by another program")
            yield from table.to_batches()

    def is_empty(self) -> bool:
        """Whether this process has embedded nothing."""
        return not self._own

    def clear(self) -> None:
        """Remove everything, of any process.

        Raises:
            OSError: something cannot be removed.
        """
        self._own = []
        if self._folder.exists():
            shutil.rmtree(self._folder)


def _table(path: Path) -> Any:
    """The table in a file, or None if its bytes are not those that its name tells of."""
    import pyarrow

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
        return None
    return pyarrow.ipc.open_file(content).read_all()
