"""How vectors are shown and written: a table for a person; .npy, .jsonl and .parquet for a program.

Everything here works on *windows*: some texts in a row, and their vectors ``[m, d]``. The first window may be empty;
it then tells the width and the type.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.embedder import Embedder
from pellucid.errors import JOINER, MissingExtraError, OptionError, printable
from pellucid.files import whole as writing

VectorArray = npt.NDArray[Any]
Windows = Iterable[tuple[list[str], VectorArray]]

_SHOWN_NUMBERS = 4
_GAP = 2


def json_lines(windows: Windows) -> Iterator[str]:
    """A line of JSON a text: its number, the text, and the vector with as many digits as float32 holds."""
    index = 0
    for texts, vectors in windows:
        for text, vector in zip(texts, vectors.tolist(), strict=True):
            numbers = ", ".join(f"{number:.9g}" for number in vector)
            yield f'{{"index": {index}, "text": {json.dumps(text, ensure_ascii=False)}, "vector": [{numbers}]}}'
            index += 1


def writer_for(out: Path) -> Callable[[Path, Windows], None]:
    """What writes files of this kind.

    Raises:
        OptionError: there is no such kind, or no such folder.
        MissingExtraError: the kind needs a package that is not installed.
    """
    suffix = checked_ending(out, _WRITERS)
    if suffix == ".parquet":
        _pyarrow()
    return _WRITERS[suffix]


def checked_ending(out: Path, endings: Iterable[str], *, option: str = "--output") -> str:
    """Which of ``endings`` the name of a file to write has, in lower case; ``option`` is the one that named the file.

    Raises:
        OptionError: none of them, or no such folder.
    """
    ending = out.suffix.lower()
    if ending not in endings:
        raise OptionError(f"{option}: cannot write {out.name!r}; the name must end in {', '.join(endings)}.")
    if out.is_dir():
        raise OptionError(f"{option}: {printable(out)} is a folder.")
    if not out.parent.is_dir():
        raise OptionError(f"{option}: there is no folder {printable(out.parent)}.")
    return ending


@contextlib.contextmanager
def in_one_step(out: Path, *, option: str = "--output") -> Iterator[Path]:
    """As :func:`pellucid.files.whole.in_one_step`; what goes wrong is told of the option that named the file."""
    try:
        with writing.in_one_step(out) as unfinished:
            yield unfinished
    except OSError as error:
        reason = error.strerror or "the disk may be full"  # NumPy's errors of short writes have no code.
        raise OptionError(f"{option}: {printable(out)} cannot be written ({reason}).") from error


def _write_npy(out: Path, windows: Windows) -> None:
    with in_one_step(out) as path:
        np.save(path, np.concatenate([vectors for _, vectors in windows]))


def _write_jsonl(out: Path, windows: Windows) -> None:
    with in_one_step(out) as path, path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in json_lines(windows))


def _write_parquet(out: Path, windows: Windows) -> None:
    pa, pq = _pyarrow()
    writer = None
    with in_one_step(out) as path, contextlib.ExitStack() as stack:
        for texts, vectors in windows:
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
            table = pa.table({"text": pa.array(texts, pa.string()), "vector": column})
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)


_WRITERS = {".npy": _write_npy, ".jsonl": _write_jsonl, ".parquet": _write_parquet}


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("pyarrow", "batch") from error
    return pa, pq


def print_vectors(embedder: Embedder, texts: Sequence[str], vectors: VectorArray, *, beyond: int = 0) -> None:
    """What a person wants to see of vectors: each text, its tokens, and the first numbers.

    Args:
        embedder: what made the vectors.
        texts: the texts to show.
        vectors: theirs, ``[n, d]``.
        beyond: how many more texts there were.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    width = vectors.shape[1]
    console.print(f"[bold]{escape(embedder.model_name)}[/bold], files from {embedder.files.source}", soft_wrap=True)
    console.print(f"{width} numbers a text, at most {embedder.max_tokens} tokens\n")
    title = f"the first {min(_SHOWN_NUMBERS, width)} of {width} numbers"
    numbers = ["  ".join(_number(value) for value in row) for row in vectors[:, :_SHOWN_NUMBERS].tolist()]
    # Where there is little room, a text is cut short; a number never.
    room = console.width - max(map(len, [title, *numbers])) - len(str(len(texts))) - len("tokens") - 3 * _GAP
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column("#", justify="right")
    table.add_column("text", overflow="ellipsis", no_wrap=True, max_width=max(room, len("text")))
    table.add_column("tokens", justify="right", min_width=len("tokens"))
    table.add_column(title, no_wrap=True)
    counts = embedder.count_tokens(texts)
    for number, (text, count, first) in enumerate(zip(texts, counts.tolist(), numbers, strict=True)):
        table.add_row(str(number), _one_line(text), str(count), first)
    console.print(table)
    if beyond:
        console.print(f"… and {beyond:,} more. To keep all vectors: --output vectors.npy, .jsonl or .parquet")


def print_similarities(vectors: VectorArray) -> None:
    """The cosine of each two vectors (``[n, d]``), as a table."""
    from rich.console import Console
    from rich.table import Table

    wide = vectors.astype(np.float64)
    unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right", style="bold")
    for number in range(len(vectors)):
        table.add_column(str(number), justify="right")
    for number, row in enumerate((unit @ unit.T).tolist()):
        table.add_row(str(number), *(_cosine(value) for value in row))
    console = Console()
    console.print("\n[bold]cosine similarity[/bold]")
    console.print(table)


def _cosine(value: float) -> str:
    """A cosine, the more visible the larger."""
    style = "bold green" if value > 0.5 else "green" if value > 0.3 else "dim" if value < 0.1 else ""  # noqa: PLR2004
    text = f"{value:.3f}".replace("-0.000", "0.000")
    return f"[{style}]{text}[/]" if style else text


def _number(value: float) -> str:
    return f"{value:+.6f}" if isinstance(value, float) else str(value)


def _one_line(text: str) -> str:
    """A text as it can stand in a table: control characters shown, and no markup of ours in it."""
    from rich.markup import escape

    return escape(printable(text[:200], keep=JOINER)) if text else "[dim](the empty text)[/dim]"
