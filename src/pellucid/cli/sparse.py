"""How ``pellucid embed`` prints and writes sparse vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pellucid.cli.terminal import source_name
from pellucid.cli.vector_files import VectorFormat
from pellucid.cli.vectors import format_text, print_square, words_that_fit
from pellucid.errors import UnsupportedModelError, plural, printable
from pellucid.sparse_vectors import SparseVectors

if TYPE_CHECKING:
    from pellucid.sparse_embedder import SparseEmbedder

_MAX_TERMS = 12
"""A text is shown with at most so many of its tokens."""
_LEAST_ROOM_FOR_A_TEXT = 12
_GAP = 2


def _columns_of(vectors: SparseVectors) -> list[Any]:
    from pellucid.tables.arrow import list_column

    return [list_column(numbers, vectors.offsets) for numbers in (vectors.indices, vectors.values)]


def _save(file: IO[bytes], windows: list[SparseVectors]) -> None:
    """Write what ``scipy.sparse.save_npz`` writes for a matrix in the CSR format."""
    vectors = SparseVectors.concatenate(windows)
    np.savez_compressed(
        file,
        data=vectors.values,
        indices=vectors.indices,
        indptr=vectors.offsets,
        shape=np.array([len(vectors), vectors.dimensions]),
        format=np.array(b"csr"),
    )


def _describe(texts: int, numbers: int, dimensions: int) -> str:
    return f"{plural(texts, 'sparse vector')} with {plural(numbers, 'number')} in {plural(dimensions, 'dimension')}"


FORMAT: VectorFormat[SparseVectors] = VectorFormat(
    columns=("indices", "values"),
    numpy_ending=".npz",
    numbers_of=lambda vector: [vector.indices.tolist(), vector.values.tolist()],
    columns_of=_columns_of,
    save=_save,
    size_of=lambda vectors: (len(vectors.values), vectors.dimensions),
    describe=_describe,
    several="sparse vectors",
)


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
