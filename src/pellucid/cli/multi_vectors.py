"""How ``pellucid embed`` prints and writes vectors of tokens: a table for people; .npz, .jsonl and .parquet files.

The *windows* are those of :mod:`pellucid.cli.vectors`, with a text's vectors in the place of its one vector.
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
    with_rows,
    words_that_fit,
    write_lines,
    write_parquet,
)
from pellucid.errors import plural, printable
from pellucid.types import MultiVectors

if TYPE_CHECKING:
    from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.text.sides import AnySide

Windows = Iterable[tuple[list[str], MultiVectors]]

VECTORS_COLUMN = "vectors"
COLUMNS = (VECTORS_COLUMN,)
"""The columns that are added to a table."""
_LEAST_ROOM_FOR_A_TEXT = 12
_LEAST_ROOM_FOR_TOKENS = 16
_GAP = 2


def check_output(out: Path) -> None:
    """Refuse a file that :func:`write` cannot write.

    Raises:
        OptionError: the name has another ending, or its folder does not exist.
        MissingExtraError: the format needs a package that is not installed.
    """
    check_written(out, _WRITERS, "several vectors for each text")


def keeps_columns(out: Path) -> bool:
    """Whether a kind of file that :func:`write` writes has room for the other columns of a table."""
    return out.suffix.lower() != ".npz"


def json_lines(windows: Windows, table: TableFile | None = None) -> Iterator[str]:
    """One line of JSON for each text: its number, the text, and the list of its vectors.

    If the texts come from a table, its columns take the place of the number and the text.
    """
    for row, vectors in with_rows(windows, table):
        yield json_line(row, {VECTORS_COLUMN: vectors.tolist()})


def write(out: Path, windows: Windows, table: TableFile | None = None) -> str:
    """Write vectors to a file of the kind that its ending says.

    Args:
        out: the file.
        windows: the texts and their vectors.
        table: the table that the texts come from. A kind of file that has columns gets all of its columns.

    Returns:
        What was written, for a message.
    """
    texts = count = width = 0

    def counted() -> Iterator[tuple[list[str], MultiVectors]]:
        nonlocal texts, count, width
        for window, vectors in windows:
            texts += len(vectors)
            count, width = count + len(vectors.vectors), vectors.vectors.shape[1]
            yield window, vectors

    _WRITERS[out.suffix.lower()](out, counted(), table)
    return f"{plural(count, 'vector')} of {plural(width, 'number')}, for {plural(texts, 'text')},"


def _write_npz(out: Path, windows: Windows, _table: TableFile | None) -> None:
    """Write ``vectors``, float32, and ``offsets``, int32: text ``i`` has ``vectors[offsets[i]:offsets[i + 1]]``."""
    found = concatenate([vectors for _, vectors in windows])
    with open_output(out) as path, path.open("wb") as file:  # By its name, NumPy would give it another ending.
        np.savez(file, vectors=found.vectors, offsets=found.offsets)


def _write_jsonl(out: Path, windows: Windows, table: TableFile | None) -> None:
    write_lines(out, json_lines(windows, table))


def _write_parquet(out: Path, windows: Windows, table: TableFile | None) -> None:
    from pellucid.tables.arrow import vectors_column

    columns = ((texts, {VECTORS_COLUMN: vectors_column(found.vectors, found.offsets)}) for texts, found in windows)
    write_parquet(out, columns, table)


_WRITERS = {".npz": _write_npz, ".jsonl": _write_jsonl, ".parquet": _write_parquet}


def concatenate(windows: Sequence[MultiVectors]) -> MultiVectors:
    """The vectors of all windows, of which there is at least one."""
    offsets = np.cumsum([0, *(length for each in windows for length in each.lengths.tolist())], dtype=np.int32)
    return MultiVectors(np.concatenate([each.vectors for each in windows]), offsets)


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
    pieces = [
        [printable(token.piece) for token, has_vector in embedder.tokens_of(side, text, prompt) if has_vector]
        for text in texts
    ]
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
