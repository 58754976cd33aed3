"""How ``pellucid embed`` prints and writes sparse vectors: a table for people; .npz, .jsonl and .parquet files.

The *windows* are those of :mod:`pellucid.cli.vectors`, with sparse vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.cli.terminal import source_name
from pellucid.cli.texts import TableFile
from pellucid.cli.vectors import (
    check_written,
    format_text,
    json_line,
    open_output,
    print_square,
    with_rows,
    words_that_fit,
    write_lines,
    write_parquet,
)
from pellucid.errors import UnsupportedModelError, plural, printable
from pellucid.sparse_vectors import SparseVectors

if TYPE_CHECKING:
    from pellucid.sparse_embedder import SparseEmbedder

Windows = Iterable[tuple[list[str], SparseVectors]]

INDICES, VALUES = COLUMNS = ("indices", "values")
_MAX_TERMS = 12
"""A text is shown with at most so many of its tokens."""
_LEAST_ROOM_FOR_A_TEXT = 12
_GAP = 2


def check_output(out: Path) -> None:
    """Refuse a file that :func:`write` cannot write.

    Raises:
        OptionError: the name has another ending, or its folder does not exist.
        MissingExtraError: the format needs a package that is not installed.
    """
    check_written(out, _WRITERS, "sparse vectors")


def keeps_columns(out: Path) -> bool:
    """Whether a kind of file that :func:`write` writes has room for the other columns of a table."""
    return out.suffix.lower() != ".npz"


def json_lines(windows: Windows, table: TableFile | None = None) -> Iterator[str]:
    """One line of JSON for each text: its number, the text, and the places and values of the numbers that are not 0.

    If the texts come from a table, its columns take the place of the number and the text.
    """
    for row, vector in with_rows(windows, table):
        yield json_line(row, {INDICES: vector.indices.tolist(), VALUES: vector.values.tolist()})


def write(out: Path, windows: Windows, table: TableFile | None = None) -> str:
    """Write vectors to a file of the kind that its ending says.

    Args:
        out: the file.
        windows: the texts and their vectors.
        table: the table that the texts come from. A kind of file that has columns gets all of its columns.

    Returns:
        What was written, for a message.
    """
    count = dimensions = numbers = 0

    def counted() -> Iterator[tuple[list[str], SparseVectors]]:
        nonlocal count, dimensions, numbers
        for texts, vectors in windows:
            count, numbers, dimensions = count + len(vectors), numbers + len(vectors.values), vectors.dimensions
            yield texts, vectors

    _WRITERS[out.suffix.lower()](out, counted(), table)
    of = f"{plural(numbers, 'number')} in {plural(dimensions, 'dimension')}"
    return f"{plural(count, 'sparse vector')} with {of}"


def _write_npz(out: Path, windows: Windows, _table: TableFile | None) -> None:
    """Write what ``scipy.sparse.save_npz`` writes for a matrix in the CSR format."""
    vectors = SparseVectors.concatenate([found for _, found in windows])
    with open_output(out) as path, path.open("wb") as file:  # By its name, NumPy would give it another ending.
        np.savez_compressed(
            file,
            data=vectors.values,
            indices=vectors.indices,
            indptr=vectors.offsets,
            shape=np.array([len(vectors), vectors.dimensions]),
            format=np.array(b"csr"),
        )


def _write_jsonl(out: Path, windows: Windows, table: TableFile | None) -> None:
    write_lines(out, json_lines(windows, table))


def _write_parquet(out: Path, windows: Windows, table: TableFile | None) -> None:
    from pellucid.tables.arrow import list_column

    columns = (
        (
            texts,
            {INDICES: list_column(found.indices, found.offsets), VALUES: list_column(found.values, found.offsets)},
        )
        for texts, found in windows
    )
    write_parquet(out, columns, table)


_WRITERS = {".npz": _write_npz, ".jsonl": _write_jsonl, ".parquet": _write_parquet}


def print_vectors(embedder: SparseEmbedder, texts: Sequence[str], vectors: SparseVectors, *, omitted: int = 0) -> None:
    """Print a table: each text, its number of tokens and of weights, and its heaviest tokens.

    Args:
        embedder: the model that made the vectors.
        texts: the texts to print.
        vectors: their vectors.
        omitted: the number of further texts, which are not printed.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    source = source_name(embedder.files.source, article=True)
    console.print(f"[bold]{escape(embedder.model_name)}[/bold], files from {source}", soft_wrap=True)
    console.print(f"{plural(vectors.dimensions, 'dimension')}, at most {plural(embedder.max_tokens, 'token')}\n")
    shown = [format_text(text) for text in texts]
    terms = [[f"{name} {weight:.2f}" for name, weight in each] for each in _heaviest(embedder, vectors)]
    counts = {"tokens": embedder.count_tokens(texts).tolist(), "weights": vectors.lengths.tolist()}
    room = console.width - len(str(len(texts))) - 2 * _GAP
    # In a narrow terminal there are fewer tokens, texts are cut short, and counts left out. No token is cut short.
    longest = max(map(cell_len, ["the heaviest", *(each[0] for each in terms if each)]))
    while counts and room - _room_of(counts) < _LEAST_ROOM_FOR_A_TEXT + longest:
        counts.popitem()
    room -= _room_of(counts)
    text_room = min(max(map(cell_len, ["text", *shown])), max(_LEAST_ROOM_FOR_A_TEXT, room // 3))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("text", overflow="ellipsis", no_wrap=True, max_width=text_room)
    for heading in counts:
        table.add_column(heading, justify="right", min_width=len(heading))
    table.add_column("the heaviest", no_wrap=True)
    for number, (text, words) in enumerate(zip(shown, terms, strict=True)):
        numbers = [str(column[number]) for column in counts.values()]
        table.add_row(str(number), text, *numbers, escape(words_that_fit(words, room - text_room, gap=_GAP)))
    console.print(table)
    if omitted:
        console.print(f"… and {omitted:,} more. To save all vectors: -o vectors.npz, .jsonl or .parquet")


def _heaviest(embedder: SparseEmbedder, vectors: SparseVectors) -> list[list[tuple[str, float]]]:
    """The heaviest tokens of each vector. Where dimensions are not tokens, their numbers."""
    try:
        terms = embedder.terms(vectors, limit=_MAX_TERMS)
    except UnsupportedModelError:
        largest = [(vector.indices, vector.values, np.argsort(-vector.values, kind="stable")) for vector in vectors]
        return [
            list(zip(map(str, indices[order].tolist()), values[order].tolist(), strict=True))[:_MAX_TERMS]
            for indices, values, order in largest
        ]
    return [[(printable(name), weight) for name, weight in each] for each in terms]


def _room_of(headings: Iterable[str]) -> int:
    return sum(len(heading) + _GAP for heading in headings)


def print_products(vectors: SparseVectors) -> None:
    """Print a table of the dot product of each pair of vectors, if there is room for it."""
    from rich.console import Console

    rows = [[f"{product:.2f}" for product in row] for row in vectors.dot(vectors).tolist()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + _GAP * len(widths) + len(str(len(rows))) <= Console().width:
        print_square("dot product", rows)
