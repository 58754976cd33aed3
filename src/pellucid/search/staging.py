"""Chunks that are embedded but not in the index yet: Arrow files, kept until the index has them.

Each file is written whole, and its name has the SHA-256 of its content. So what a process embedded before it was killed
is found again whole, or not at all.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pellucid.errors import IndexStateError
from pellucid.files.own_folders import INDEX_STAGED
from pellucid.files.whole import in_one_step
from pellucid.search.rows import Row, to_table, vectors_by_digest
from pellucid.tables import arrow
from pellucid.tables.vector_columns import ColumnType


class Staging:
    """What this process has embedded, and what earlier processes had.

    Args:
        folder: the index.
        space: a name for what the vectors depend on besides their texts.
        column_type: the type of the column of vectors.
    """

    def __init__(self, folder: Path, space: str, column_type: ColumnType) -> None:
        self._folder = folder / INDEX_STAGED
        self._space = space
        self._column_type = column_type
        self._process = uuid.uuid4().hex
        self._own: list[Path] = []

    def add(self, rows: Sequence[Row], vectors: arrow.Column) -> None:
        """Keep chunks, and a column of their vectors.

        Raises:
            OSError: they cannot be written.
        """
        name = f"{self._space}-{self._process}-{len(self._own)}"
        self._own.append(self._write(name, to_table(rows, vectors)))

    def vectors(self) -> Mapping[str, arrow.Column]:
        """The vectors that any process has embedded so far, by the digest of their texts: columns of one row."""
        paths: dict[str, Path] = {}
        for path in sorted(self._folder.glob(f"{self._space}-*.arrow")):
            table = _read_table(path)
            if table is not None:  # What is damaged is embedded again.
                paths |= dict.fromkeys(table["digest"].to_pylist(), path)
        return _StagedVectors(paths, self._column_type)

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

    def files(self) -> set[str]:
        """The names of the files that any process has kept chunks of."""
        tables = (_read_table(path) for path in self._folder.glob("*.arrow"))
        return {name for table in tables if table is not None for name in table["file"].to_pylist()}

    def clear_own(self) -> None:
        """Remove what this process has kept: the index has it now.

        Raises:
            OSError: something cannot be removed.
        """
        for path in self._own:
            path.unlink()
        self._own = []
        self._remove_empty_folder()

    def remove(self, files: Collection[str]) -> None:
        """Remove the chunks of some files, whichever process has kept them, and whatever is damaged.

        Raises:
            OSError: something cannot be removed or written.
        """
        for path in self._folder.glob("*.arrow"):
            table = _read_table(path)
            keep = [] if table is None else [name not in files for name in table["file"].to_pylist()]
            if all(keep) and keep:
                continue
            if any(keep):
                self._write(path.stem.rpartition("-")[0], arrow.keep_rows(table, np.array(keep)))
            path.unlink()
        self._remove_empty_folder()

    def _write(self, name: str, table: arrow.Table) -> Path:
        """Write a table to a file whose name ends with the SHA-256 of its content."""
        content = arrow.to_file_format(table)
        self._folder.mkdir(exist_ok=True)
        target = self._folder / f"{name}-{hashlib.sha256(content).hexdigest()}.arrow"
        with in_one_step(target) as path:
            path.write_bytes(content)
        return target

    def _remove_empty_folder(self) -> None:
        """Remove the folder if no chunks are in it. A killed process may have left something else there."""
        if self._folder.exists() and not any(self._folder.glob("*.arrow")):
            shutil.rmtree(self._folder)


class _StagedVectors(Mapping[str, arrow.Column]):
    """Vectors in files, by the digest of their texts. Only one file is in memory at a time.

    Vectors of all tokens may be too large for memory. They are looked up in about the order that they were kept in.
    """

    def __init__(self, paths: Mapping[str, Path], column_type: ColumnType) -> None:
        self._paths = paths
        self._column_type = column_type
        self._read: tuple[Path | None, Mapping[str, arrow.Column]] = (None, {})

    def __getitem__(self, digest: str) -> arrow.Column:
        path = self._paths[digest]
        if path != self._read[0]:
            try:
                table = _read_table(path)
            except OSError:
                table = None
            if table is None:
                raise IndexStateError(f"{path} was changed by another program. Run the same command again.")
            self._read = path, vectors_by_digest(table, self._column_type)
        return self._read[1][digest]

    def __contains__(self, digest: object) -> bool:
        return digest in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _read_table(path: Path) -> arrow.Table | None:
    """The table in a file; None if its content does not have the digest in its name."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
        return None
    return arrow.from_file_format(content)
