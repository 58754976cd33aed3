"""How ``pellucid embed`` writes vectors of any kind: JSON lines, Parquet, and a file of NumPy's with all of them.

Writers take *windows*: consecutive texts with their vectors. There is at least one window. The first one may have no
texts, and still gives the vectors' width and type.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from pellucid.cli.output_files import check_ending, open_output
from pellucid.cli.rows import read_rows, read_tables
from pellucid.cli.texts import TableFile
from pellucid.errors import OptionError, either, printable

Vectors = TypeVar("Vectors")
"""The vectors of several texts: an array, ``SparseVectors`` or ``MultiVectors``. Iterating gives those of each text."""
Windows = Iterable[tuple[list[str], Vectors]]


@dataclass(frozen=True)
class VectorFormat(Generic[Vectors]):
    """How vectors of a kind are written.

    Attributes:
        columns: the columns that are added to a table.
        numpy_ending: the ending of the file of NumPy's: ".npy" or ".npz".
        numbers_of: the numbers of one text's vectors for JSON: a list for each of the columns.
        columns_of: the vectors of a window as columns of Arrow's.
        save: writes the vectors of all windows to a file of NumPy's.
        size_of: two numbers about the vectors of a window: one to be added up, and one that all windows share.
        describe: what was written, for a message: from the number of texts, that sum, and that shared number.
        several: what a message calls the vectors if they are not one dense array, which is what a .npy file has.
    """

    columns: tuple[str, ...]
    numpy_ending: str
    numbers_of: Callable[[Any], Sequence[list[Any]]]
    columns_of: Callable[[Vectors], Sequence[Any]]
    save: Callable[[IO[bytes], list[Vectors]], None]
    size_of: Callable[[Vectors], tuple[int, int]]
    describe: Callable[[int, int, int], str]
    several: str = ""

    def check_output(self, out: Path) -> None:
        """Refuse a file that :meth:`write` cannot write.

        Raises:
            OptionError: the name has another ending, or its folder does not exist.
            MissingExtraError: the format needs a package that is not installed.
        """
        endings = (self.numpy_ending, ".jsonl", ".parquet")
        if self.several and out.suffix.lower() == ".npy":
            raise OptionError(
                f"-o {printable(out)}: a .npy file has one dense array. For {self.several}, the ending must be "
                f"{either(list(endings))}."
            )
        if check_ending(out, endings) == ".parquet":
            from pellucid.tables import parquet  # noqa: F401  Before any work, in case PyArrow is missing.

    def keeps_columns(self, out: Path) -> bool:
        """Whether a file that :meth:`write` writes has room for the other columns of a table."""
        return out.suffix.lower() != self.numpy_ending

    def json_lines(self, windows: Windows[Vectors], table: TableFile | None = None) -> Iterator[str]:
        """One line of JSON for each text: its number, the text, and its vectors.

        If the texts come from a table, its columns take the place of the number and the text.
        """
        for row, vectors in _with_rows(windows, table):
            yield _json_line(row, dict(zip(self.columns, self.numbers_of(vectors), strict=True)))

    def write(self, out: Path, windows: Windows[Vectors], table: TableFile | None = None) -> str:
        """Write vectors to a file of the kind that its ending says.

        Args:
            out: the file.
            windows: the texts and their vectors.
            table: the table that the texts come from. A kind of file that has columns gets all of its columns.

        Returns:
            What was written, for a message.
        """
        count = total = shared = 0

        def counted() -> Windows[Vectors]:
            nonlocal count, total, shared
            for texts, vectors in windows:
                size, shared = self.size_of(vectors)
                count, total = count + len(texts), total + size
                yield texts, vectors

        ending = out.suffix.lower()
        if ending == ".jsonl":
            with open_output(out) as path, path.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in self.json_lines(counted(), table))
        elif ending == ".parquet":
            self._write_parquet(out, counted(), table)
        else:
            with open_output(out) as path:  # Before the work, in case the file cannot be written.
                found = [vectors for _, vectors in counted()]
                with path.open("wb") as binary:  # From its name, NumPy would make one with another ending.
                    self.save(binary, found)
        return self.describe(count, total, shared)

    def _write_parquet(self, out: Path, windows: Windows[Vectors], table: TableFile | None) -> None:
        """Write texts, or the rows of the table that they come from, and their new columns."""
        from pellucid.tables.added import add_columns, table_of_columns, write_tables

        named = ((texts, dict(zip(self.columns, self.columns_of(found), strict=True))) for texts, found in windows)
        with open_output(out) as path, contextlib.nullcontext() if table is None else table.unchanged():
            if table is None:
                types = {"text": "string"}
                write_tables(path, (table_of_columns({"text": texts, **columns}, types) for texts, columns in named))
            else:
                write_tables(path, add_columns(read_tables(table), (columns for _, columns in named)))


def _with_rows(windows: Windows[Any], table: TableFile | None) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each text's number and the text itself, or its row of a table, with its vectors."""
    if table is None:
        numbers = itertools.count()
        for texts, window in windows:
            for text, vectors in zip(texts, window, strict=True):
                yield {"index": next(numbers), "text": text}, vectors
        return
    with table.unchanged():
        rows = read_rows(table)
        for _, window in windows:
            for vectors in window:
                yield next(rows), vectors


def _json_line(row: Mapping[str, Any], lists: Mapping[str, list[Any]]) -> str:
    """A row and lists of numbers, or of such lists, as JSON. The numbers have as many digits as float32 holds."""
    added = "".join(f', "{name}": {_json_list(each)}' for name, each in lists.items())
    return f"{json.dumps(row, ensure_ascii=False, allow_nan=False)[:-1]}{added}}}"


def _json_list(values: list[Any]) -> str:
    parts = (_json_list(value) if isinstance(value, list) else f"{value:.9g}" for value in values)
    return f"[{', '.join(parts)}]"
