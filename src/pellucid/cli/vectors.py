"""How the commands print dense vectors, and how ``pellucid embed`` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pellucid.cli.terminal import source_name
from pellucid.cli.vector_files import VectorFormat
from pellucid.errors import JOINER, plural, printable

if TYPE_CHECKING:
    from pellucid.embedder import Embedder

VectorArray = npt.NDArray[Any]

_NUMBERS_PER_ROW = 4
_ROOM_FOR_A_TEXT = 12
"""The columns of a terminal that a text gets before the last numbers."""
_GAP = 2


def _save(file: IO[bytes], windows: list[VectorArray]) -> None:
    np.save(file, np.concatenate(windows))


FORMAT: VectorFormat[VectorArray] = VectorFormat(
    columns=("vector",),
    numpy_ending=".npy",
    numbers_of=lambda vector: [vector.tolist()],
    columns_of=lambda vectors: [vectors],
    save=_save,
    size_of=lambda vectors: (len(vectors), vectors.shape[1]),
    describe=lambda _texts, count, width: f"{plural(count, 'vector')} of {plural(width, 'number')}",
)


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
