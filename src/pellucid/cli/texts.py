"""How commands read texts: lines of a file or of standard input, or a column of a table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pellucid.cli.options import TEXT_COLUMN
from pellucid.errors import OptionError, TextError, UnreadableFileError, printable
from pellucid.files.stamps import Stamp, stamp_of, unchanged


@dataclass(frozen=True)
class TableFile:
    """A table that texts come from. Its other columns can go along with them.

    Attributes:
        path: the file.
        kind: "csv", "jsonl" or "parquet".
        column: the column with the texts.
        stamp: the stamp that the file had before anything of it was read.
    """

    path: Path
    kind: str
    column: str
    stamp: Stamp

    @classmethod
    def of(cls, file: Path | None, column: str) -> TableFile | None:
        """The table as it is now, before anything of it is read. None if the texts are lines.

        Raises:
            OptionError: there is no such file.
        """
        from pellucid.tables.records import table_kind

        if file is None or (kind := table_kind(file)) == "text":
            return None
        check_file(file)
        return cls(file, kind, column, stamp_of(file))

    def unchanged(self) -> AbstractContextManager[None]:
        """Refuse what the block reads if the file has changed (:func:`~pellucid.files.stamps.unchanged`)."""
        return unchanged(self.path, self.stamp)


def read_texts(file: Path | None, column: str = TEXT_COLUMN, *, option: str = "--column") -> Iterator[str]:
    """Read the texts of a file or of standard input.

    A ``.csv``, ``.jsonl`` or ``.parquet`` file gives the texts of one column. Anything else is lines in UTF-8, and each
    line is a text. An empty line is an empty text, so line n belongs to vector n.

    Args:
        file: the file; None or ``-`` for standard input.
        column: the column with the texts, for tables.
        option: the option that names the column, for error messages.

    Returns:
        The texts, read as they are asked for. A file that is missing and a column that is missing are found at once.

    Raises:
        OptionError: there is no such file, or it has no columns and ``column`` names one.
        UnreadableFileError: the table cannot be read, or has no such column.
        TextError: a line or row has no text that can be used. The message names it.
        MissingExtraError: the table is Parquet, and PyArrow is not installed.
    """
    from pellucid.tables.records import table_kind

    is_file = file is not None and str(file) != "-"
    kind = table_kind(file) if file is not None and is_file else "text"
    if kind == "text" and column != TEXT_COLUMN:
        raise OptionError(f"{option} {column} is for .csv, .jsonl and .parquet files; other texts are lines.")
    if file is None or not is_file:
        return _read_lines(None)
    check_file(file)
    if kind == "text":
        return _read_lines(file)
    try:
        return _read_parquet(file, column, option) if kind == "parquet" else _read_rows(file, kind, column, option)
    except OSError as error:
        raise OptionError(f"{printable(file)} cannot be read ({error.strerror or error}).") from error


def read_text() -> str:
    """All of standard input as one text, without the line end at its end.

    Raises:
        TextError: it is not UTF-8.
    """
    try:
        content = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"standard input is not UTF-8 (byte {error.start + 1}).") from None
    return content.removesuffix("\n").removesuffix("\r")


def check_file(file: Path) -> None:
    """Refuse a path with nothing to read.

    Raises:
        OptionError: nothing has this name, nothing can have it, or it is a folder.
    """
    try:
        is_folder, exists = file.is_dir(), file.exists()
    except OSError as error:  # A text in the place of the file may be too long for a name.
        raise OptionError(f"{printable(file)} cannot be read ({error.strerror or error}).") from error
    if is_folder:
        raise OptionError(f"{printable(file)} is a folder. Give a file with texts.")
    if not exists:
        raise OptionError(f"there is no file {printable(file)}.")


def _read_lines(file: Path | None) -> Iterator[str]:
    from pellucid.tables.records import MAX_ROW_BYTES

    name = printable(file) if file is not None else "standard input"
    try:
        opened = sys.stdin.buffer if file is None else file.open("rb")
    except OSError as error:
        raise OptionError(f"{name} cannot be read ({error.strerror or error}).") from error
    with opened as source:
        for number, line in enumerate(iter(lambda: source.readline(MAX_ROW_BYTES + 1), b""), start=1):
            if len(line) > MAX_ROW_BYTES:
                raise TextError(f"line {number} of {name} is longer than {MAX_ROW_BYTES >> 20} MiB. Split it.")
            try:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise TextError(
                    f"line {number} of {name} is not UTF-8 (byte {error.start + 1} of the line). If it is text in "
                    f"another encoding, convert it first, for example with: iconv -f LATIN1 -t UTF-8"
                ) from None


def _read_rows(file: Path, kind: str, column: str, option: str) -> Iterator[str]:
    """The texts of JSON lines or of CSV."""
    from pellucid.tables.records import check_column, check_encoding, read_header

    header = None
    try:
        check_encoding(file)
        if kind == "csv":
            with file.open("rb") as source:
                header = read_header(source)
            check_column(column, header[0], option)
    except UnreadableFileError as error:
        raise UnreadableFileError(f"{printable(file)}: {error}") from None
    return _rows(file, kind, column, header, option)


def _rows(file: Path, kind: str, column: str, header: tuple[list[str], int] | None, option: str) -> Iterator[str]:
    from pellucid.tables.records import check_column, read_records

    with file.open("rb") as source:
        for record in read_records(source, kind, column, header=header):
            if record.fault is None:
                yield record.values[column]
                continue
            place = f"{printable(file)}, line {_line_number(file, record.offset)}"
            try:
                check_column(column, list(record.values) or [column], option)
            except UnreadableFileError as error:
                raise TextError(f"{place}: {error}") from None
            raise TextError(f"{place}: {record.fault}. Mend or remove this row.")


def _line_number(file: Path, offset: int) -> int:
    """The number of the line, from 1, that begins at byte ``offset``."""
    with file.open("rb") as source:
        number = 1
        while offset > 0 and (piece := source.read(min(offset, 1 << 20))):
            number, offset = number + piece.count(b"\n"), offset - len(piece)
    return number


def _read_parquet(file: Path, column: str, option: str) -> Iterator[str]:
    from pellucid.tables import parquet
    from pellucid.tables.arrow import ARROW_ERRORS
    from pellucid.tables.schemas import text_schema

    try:
        text_schema(parquet.describe(file)[1], column, option)
    except UnreadableFileError as error:
        raise UnreadableFileError(f"{printable(file)}: {error}") from None
    except ARROW_ERRORS as error:
        raise UnreadableFileError(f"{printable(file)} cannot be read ({printable(str(error))}).") from error
    return _parquet_rows(file, column)


def _parquet_rows(file: Path, column: str) -> Iterator[str]:
    from pellucid.tables import parquet
    from pellucid.tables.arrow import ARROW_ERRORS

    number = 0
    try:
        for batch in parquet.read_batches(file, columns=[column]):
            for value in batch.column(0):
                number += 1
                text = value.as_py()
                if text is None:
                    raise TextError(f"{printable(file)}, row {number}: its text is null. Mend or remove this row.")
                yield text
    except UnicodeDecodeError:
        raise TextError(f"{printable(file)}, row {number}: its text is not UTF-8.") from None
    except ARROW_ERRORS as error:
        raise UnreadableFileError(f"{printable(file)} cannot be read ({printable(str(error))}).") from error
