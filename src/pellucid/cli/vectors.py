"""How the commands print and write vectors: tables for people; .npy, .jsonl and .parquet files for programs.

Writers take *windows*: consecutive texts with their vectors ``[m, d]``. There is at least one window. The first one may
have no texts, and still gives the vectors' width and type.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pellucid.cli.rows import read_rows, read_tables
from pellucid.cli.terminal import source_name
from pellucid.cli.texts import TableFile
from pellucid.errors import JOINER, OptionError, either, plural, printable
from pellucid.files import whole

if TYPE_CHECKING:
    from pellucid.embedder import Embedder

T = TypeVar("T")
VectorArray = npt.NDArray[Any]
Windows = Iterable[tuple[list[str], VectorArray]]

VECTOR_COLUMN = "vector"
COLUMNS = (VECTOR_COLUMN,)
"""The columns that are added to a table."""
_NUMBERS_PER_ROW = 4
_ROOM_FOR_A_TEXT = 12
"""The columns of a terminal that a text gets before the last numbers."""
_GAP = 2


def json_lines(windows: Windows, table: TableFile | None = None) -> Iterator[str]:
    """One line of JSON for each text: its number, the text, and the vector.

    If the texts come from a table, its columns take the place of the number and the text.
    """
    for row, vector in with_rows(((texts, vectors.tolist()) for texts, vectors in windows), table):
        yield json_line(row, {VECTOR_COLUMN: vector})


def with_rows(
    windows: Iterable[tuple[list[str], Iterable[T]]], table: TableFile | None
) -> Iterator[tuple[dict[str, Any], T]]:
    """Each text's number and the text itself, or its row of a table, with what goes with it in the window."""
    if table is None:
        numbers = itertools.count()
        for texts, window in windows:
            for text, value in zip(texts, window, strict=True):
                yield {"index": next(numbers), "text": text}, value
        return
    with table.unchanged():
        rows = read_rows(table)
        for _, window in windows:
            for value in window:
                yield next(rows), value


def json_line(row: Mapping[str, Any], lists: Mapping[str, list[Any]]) -> str:
    """A row and lists of numbers, or of such lists, as JSON. The numbers have as many digits as float32 holds."""
    added = "".join(f', "{name}": {_json_list(each)}' for name, each in lists.items())
    return f"{json.dumps(row, ensure_ascii=False, allow_nan=False)[:-1]}{added}}}"


def _json_list(values: list[Any]) -> str:
    parts = (_json_list(value) if isinstance(value, list) else f"{value:.9g}" for value in values)
    return f"[{', '.join(parts)}]"


def check_output(out: Path) -> None:
    """Refuse a file that :func:`write` cannot write.

    Raises:
        OptionError: the name has another ending, or its folder does not exist.
        MissingExtraError: the format needs a package that is not installed.
    """
    check_written(out, _WRITERS)


def check_written(out: Path, endings: Collection[str], several: str = "") -> None:
    """Refuse a file for ``-o`` that cannot be written.

    Args:
        out: the file.
        endings: the endings that its name may have.
        several: what the file is for, if not for one dense array, which is what a .npy file has.

    Raises:
        OptionError: the name has another ending, or its folder does not exist.
        MissingExtraError: the format needs a package that is not installed.
    """
    if several and out.suffix.lower() == ".npy":
        raise OptionError(
            f"-o {printable(out)}: a .npy file has one dense array. For {several}, the ending must be "
            f"{either(list(endings))}."
        )
    if check_ending(out, endings) == ".parquet":
        from pellucid.tables import parquet  # noqa: F401  Before any work, in case PyArrow is missing.


def keeps_columns(out: Path) -> bool:
    """Whether a kind of file that :func:`write` writes has room for the other columns of a table."""
    return out.suffix.lower() != ".npy"


def write(out: Path, windows: Windows, table: TableFile | None = None) -> str:
    """Write vectors to a file of the kind that its ending says.

    Args:
        out: the file.
        windows: the texts and their vectors.
        table: the table that the texts come from. A kind of file that has columns gets all of its columns.

    Returns:
        What was written, for a message.
    """
    count = width = 0

    def counted() -> Iterator[tuple[list[str], VectorArray]]:
        nonlocal count, width
        for texts, vectors in windows:
            count, width = count + len(vectors), vectors.shape[1]
            yield texts, vectors

    _WRITERS[out.suffix.lower()](out, counted(), table)
    return f"{plural(count, 'vector')} of {plural(width, 'number')}"


def check_ending(out: Path, endings: Collection[str], *, option: str = "-o") -> str:
    """Check the name of a file to write.

    Args:
        out: the file.
        endings: the endings that the name may have.
        option: the option that names the file, for error messages.

    Returns:
        The name's ending, in lower case.

    Raises:
        OptionError: the name has another ending, or is a folder, or its folder does not exist.
    """
    ending = out.suffix.lower()
    if ending not in endings:
        raise OptionError(f"{option} {printable(out)}: the ending must be {either(list(endings))}.")
    if out.is_dir():
        raise OptionError(f"{option} {printable(out)}: that is a folder. Give the name of a file.")
    if not out.parent.is_dir():
        raise OptionError(f"{option} {printable(out)}: there is no folder {printable(out.parent)}. Make it first.")
    return ending


@contextlib.contextmanager
def open_output(out: Path, *, option: str = "-o") -> Iterator[Path]:
    """Give a temporary path to write to, which becomes ``out`` once it is complete.

    Args:
        out: the file.
        option: the option that names the file, for error messages.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        with whole.in_one_step(out.absolute()) as unfinished:
            yield unfinished
    except OSError as error:
        reason = error.strerror or "the disk may be full"  # NumPy's error for a short write has no code.
        raise OptionError(f"{option} {printable(out)}: it cannot be written ({reason}).") from error


def _write_npy(out: Path, windows: Windows, _table: TableFile | None) -> None:
    with open_output(out) as path:
        np.save(path, np.concatenate([vectors for _, vectors in windows]))


def _write_jsonl(out: Path, windows: Windows, table: TableFile | None) -> None:
    write_lines(out, json_lines(windows, table))


def _write_parquet(out: Path, windows: Windows, table: TableFile | None) -> None:
    write_parquet(out, ((texts, {VECTOR_COLUMN: vectors}) for texts, vectors in windows), table)


def write_lines(out: Path, lines: Iterable[str]) -> None:
    """Write lines to a file."""
    with open_output(out) as path, path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_parquet(out: Path, windows: Iterable[tuple[list[str], Mapping[str, Any]]], table: TableFile | None) -> None:
    """Write texts, or the rows of the table that they come from, and their new columns to a Parquet file."""
    from pellucid.tables.added import add_columns, table_of_columns, write_tables

    with open_output(out) as path, contextlib.nullcontext() if table is None else table.unchanged():
        if table is None:
            types = {"text": "string"}
            write_tables(path, (table_of_columns({"text": texts, **columns}, types) for texts, columns in windows))
        else:
            write_tables(path, add_columns(read_tables(table), (columns for _, columns in windows)))


_WRITERS = {".npy": _write_npy, ".jsonl": _write_jsonl, ".parquet": _write_parquet}


def print_vectors(embedder: Embedder, texts: Sequence[str], vectors: VectorArray, *, omitted: int = 0) -> None:
    """Print a table: each text, its number of tokens, and the first numbers of its vector.

    Args:
        embedder: the model that made the vectors.
        texts: the texts to print.
        vectors: their vectors, ``[n, d]``.
        omitted: the number of further texts, which are not printed.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pellucid.model.spec import describe_limit

    console = Console()
    width = vectors.shape[1]
    source = source_name(embedder.files.source, article=True)
    console.print(f"[bold]{escape(embedder.model_name)}[/bold], files from {source}", soft_wrap=True)
    console.print(f"{plural(width, 'number')} per text, {describe_limit(embedder.max_tokens)}\n")
    # In a narrow terminal there are fewer numbers, and the texts are cut short. A number is never cut short.
    room_for_both = console.width - len(str(len(texts))) - len("tokens") - 3 * _GAP
    for shown in range(_NUMBERS_PER_ROW, 0, -1):
        title = f"the first {shown} of {width} numbers" if width > shown else plural(width, "number")
        numbers = ["  ".join(_format_number(value) for value in row) for row in vectors[:, :shown].tolist()]
        room = room_for_both - max(map(len, [title, *numbers]))
        if room >= _ROOM_FOR_A_TEXT:
            break
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column("#", justify="right")
    table.add_column("text", overflow="ellipsis", no_wrap=True, max_width=max(room, len("text")))
    table.add_column("tokens", justify="right", min_width=len("tokens"))
    table.add_column(title, no_wrap=True)
    counts = embedder.count_tokens(texts)
    for number, (text, count, first) in enumerate(zip(texts, counts.tolist(), numbers, strict=True)):
        table.add_row(str(number), format_text(text), str(count), first)
    console.print(table)
    if omitted:
        console.print(f"… and {omitted:,} more. To save all vectors: -o vectors.npy, .jsonl or .parquet")


def print_similarities(vectors: VectorArray) -> None:
    """Print a table of the cosine of each pair of vectors (``[n, d]``)."""
    wide = vectors.astype(np.float64)
    unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    print_square("cosine similarity", [[_format_cosine(value) for value in row] for row in (unit @ unit.T).tolist()])


def print_square(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print a table of what each pair of texts has, by their numbers. The cells may have Rich's markup."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right", style="bold")
    for number in range(len(rows)):
        table.add_column(str(number), justify="right")
    for number, row in enumerate(rows):
        table.add_row(str(number), *row)
    console = Console()
    console.print(f"\n[bold]{title}[/bold]")
    console.print(table)


def _format_cosine(value: float) -> str:
    """A cosine with three digits. The larger it is, the more it stands out."""
    style = "bold green" if value > 0.5 else "green" if value > 0.3 else "dim" if value < 0.1 else ""  # noqa: PLR2004
    text = f"{value:.3f}".replace("-0.000", "0.000")
    return f"[{style}]{text}[/]" if style else text


def _format_number(value: float) -> str:
    return f"{value:+.6f}" if isinstance(value, float) else str(value)


def words_that_fit(words: Iterable[str], room: int, *, gap: int) -> str:
    """As many of the words as there is room for, but at least one. Between two words there are ``gap`` spaces."""
    from rich.cells import cell_len

    line = ""
    for word in words:
        longer = f"{line}{' ' * gap}{word}" if line else word
        if line and cell_len(longer) > room:
            break
        line = longer
    return line


def format_text(text: str) -> str:
    """A text on one line of a table, with control characters written out and Rich's markup escaped."""
    from rich.markup import escape

    return escape(printable(text[:200], keep=JOINER)) if text else "[dim](empty text)[/dim]"
