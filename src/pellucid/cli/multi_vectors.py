"""How ``pellucid embed`` prints and writes vectors of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pellucid.cli.terminal import source_name
from pellucid.cli.vector_files import VectorFormat
from pellucid.cli.vectors import format_text, words_that_fit
from pellucid.errors import plural, printable
from pellucid.types import MultiVectors

if TYPE_CHECKING:
    from pellucid.multi_vector_embedder import MultiVectorEmbedder
    from pellucid.text.sides import AnySide

_LEAST_ROOM_FOR_A_TEXT = 12
_LEAST_ROOM_FOR_TOKENS = 16
_GAP = 2


def _columns_of(vectors: MultiVectors) -> list[Any]:
    from pellucid.tables.vector_columns import multi_vector_column

    return [multi_vector_column(vectors)]


def _save(file: IO[bytes], windows: list[MultiVectors]) -> None:
    """Write ``vectors``, float32, and ``offsets``, int32: text ``i`` has ``vectors[offsets[i]:offsets[i + 1]]``."""
    found = MultiVectors.join(windows)
    np.savez(file, vectors=found.vectors, offsets=found.offsets)


def _describe(texts: int, count: int, width: int) -> str:
    return f"{plural(count, 'vector')} of {plural(width, 'number')}, for {plural(texts, 'text')},"


FORMAT: VectorFormat[MultiVectors] = VectorFormat(
    columns=("vectors",),
    numpy_ending=".npz",
    numbers_of=lambda vectors: [vectors.tolist()],
    columns_of=_columns_of,
    save=_save,
    size_of=lambda vectors: vectors.vectors.shape,
    describe=_describe,
    several="several vectors for each text",
)


def print_vectors(
    embedder: MultiVectorEmbedder,
    texts: Sequence[str],
    vectors: MultiVectors,
    *,
    side: AnySide,
    prompt: str,
    omitted: int = 0,
) -> None:
    """Print a table: each text, how many vectors it has, and the tokens that have them.

    Args:
        embedder: the model that made the vectors.
        texts: the texts to print.
        vectors: their vectors.
        side: what the texts are.
        prompt: what was put before each text.
        omitted: the number of further texts, which are not printed.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pellucid.model.spec import describe_limit

    console = Console(highlight=False)
    source = source_name(embedder.files.source, article=True)
    limit = embedder.max_query_tokens if side == "query" else embedder.max_tokens
    console.print(f"[bold]{escape(embedder.model_name)}[/bold], files from {source}", soft_wrap=True)
    console.print(f"{plural(embedder.dimensions, 'number')} per vector, {describe_limit(limit)}\n")
    shown = [format_text(text) for text in texts]
    pieces = [[printable(token.piece) for token in embedder.read_as(side, text, prompt).tokens] for text in texts]
    # In a narrow terminal, texts are cut short, and there are fewer tokens or none. No token is cut short.
    room = console.width - len(str(len(texts))) - len("vectors") - 3 * _GAP
    longest = max(map(cell_len, ["text", *shown]))
    text_room = min(longest, max(_LEAST_ROOM_FOR_A_TEXT, room // 3))
    has_tokens = room - text_room >= _LEAST_ROOM_FOR_TOKENS
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("text", overflow="ellipsis", no_wrap=True, max_width=text_room)
    table.add_column("vectors", justify="right", min_width=len("vectors"))
    if has_tokens:
        table.add_column("of the tokens", no_wrap=True)
    for number, (text, count, words) in enumerate(zip(shown, vectors.lengths.tolist(), pieces, strict=True)):
        tokens = [escape(_that_fit(words, room - text_room))] if has_tokens else []
        table.add_row(str(number), text, str(count), *tokens)
    console.print(table)
    if omitted:
        console.print(f"… and {omitted:,} more. To save all vectors: -o vectors.npz, .jsonl or .parquet")


def _that_fit(tokens: Sequence[str], room: int) -> str:
    """The tokens in a row; if there is no room for all of them, the first ones and an ellipsis."""
    from rich.cells import cell_len

    row = " ".join(tokens)
    return row if cell_len(row) <= room else f"{words_that_fit(tokens, room - 2, gap=1)} …"
