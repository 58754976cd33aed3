"""The texts of a file or of standard input, with the numbers of their lines, for commands that compare texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.cli.texts import read_texts
from pellucid.errors import JOINER, OptionError, printable
from pellucid.files.progress import progress_bar
from pellucid.files.stamps import Stamp, stamp_of
from pellucid.types import Float32

if TYPE_CHECKING:
    from rich.text import Text

    from pellucid.embedder import Embedder

_MAX_SHOWN_CHARACTERS = 1000


@dataclass(frozen=True)
class Lines:
    """Texts and where they stand.

    Attributes:
        texts: the texts.
        numbers: the line of each text, or its row in a table, from 1.
        unit: "line" or "row".
        stamp: the stamp that a table's file had before it was read; None for lines.
    """

    texts: list[str]
    numbers: list[int]
    unit: str
    stamp: Stamp | None = None

    def place(self, index: int) -> str:
        """Where a text stands, as in "line 12"."""
        return f"{self.unit} {self.numbers[index]:,}"


def read_lines(file: Path | None, column: str, *, keep_blank: bool = False) -> Lines:
    """Read all texts of a file or of standard input.

    Args:
        file: the file; None or ``-`` for standard input.
        column: the column with the texts, for tables.
        keep_blank: keep texts without a visible character, too.

    Raises:
        OptionError: there is no file, and standard input is a terminal.
        TextError: a text cannot be read, or there is none. See :func:`~pellucid.cli.texts.read_texts` for more.
    """
    if file is None and sys.stdin.isatty():
        raise OptionError("no texts. Give a file, or pipe texts in, one per line.")
    from pellucid.tables.records import table_kind

    rows = read_texts(file, column)
    stamp = stamp_of(file) if file is not None and table_kind(file) != "text" else None
    numbered = [(number, text) for number, text in enumerate(rows, 1) if keep_blank or text.strip()]
    unit = "line" if stamp is None else "row"
    return Lines([text for _, text in numbered], [number for number, _ in numbered], unit, stamp)


def embed_lines(embedder: Embedder, texts: list[str]) -> Float32:
    """Embed texts as documents: ``float32[n, d]``. If it takes longer than a second, a progress bar appears."""

    def windows() -> Iterator[Float32]:
        yield embedder.embed_documents([])
        with progress_bar(total=len(texts), unit=" texts", desc="Embedding", delay=1, leave=False) as bar:
            for window in embedder.embed_stream(texts):
                yield window
                bar.update(len(window))

    return np.concatenate(list(windows()))


def show(text: str, *, full: bool = False, style: str = "") -> Text:
    """A text for a terminal, on one line; with ``full``, whole and with its line ends."""
    from rich.text import Text

    if full:
        return Text(printable(text, keep=f"\n\t{JOINER}"), style=style)
    one_line = " ".join(text[:_MAX_SHOWN_CHARACTERS].split())
    return Text(printable(one_line, keep=JOINER), style=style, no_wrap=True, overflow="ellipsis")
