"""The texts of a file or of standard input, with the numbers of their lines, for commands that compare texts."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.cli.texts import TableFile, read_texts
from pellucid.errors import JOINER, OptionError, TruncationError, TruncationWarning, printable
from pellucid.files.progress import progress
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
        total: the number of lines or rows, with those that were left out.
        table: the table that they come from, as it was before it was read; None for lines.
    """

    texts: list[str]
    numbers: list[int]
    total: int
    table: TableFile | None = None

    @property
    def unit(self) -> str:
        """What is counted: "line" or "row"."""
        return "line" if self.table is None else "row"

    @property
    def with_words(self) -> list[int]:
        """The indices of the texts that are not blank."""
        return [index for index, text in enumerate(self.texts) if text.strip()]

    def only(self, indices: Sequence[int]) -> Lines:
        """Some of the texts."""
        texts, numbers = [self.texts[index] for index in indices], [self.numbers[index] for index in indices]
        return replace(self, texts=texts, numbers=numbers)

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
        raise OptionError("there are no texts. Give a file, or pipe texts in, one per line.")
    table = TableFile.of(file, column)  # First: whatever is read later is refused if the file has changed.
    texts = list(read_texts(file, column))
    lines = Lines(texts, list(range(1, len(texts) + 1)), len(texts), table)
    return lines if keep_blank else lines.only(lines.with_words)


def embed_lines(embedder: Embedder, lines: Lines) -> Float32:
    """Embed texts as documents: ``float32[n, d]``. A progress bar shows how far it is."""

    def windows() -> Iterator[Float32]:
        yield embedder.embed_documents([])
        with naming_places(lines.place), progress(len(lines.texts), show=True, leave=False) as advance:
            yield from embedder.embed_stream(lines.texts, advance=advance)

    return np.concatenate(list(windows()))


@contextmanager
def naming_places(place: Callable[[int], str]) -> Iterator[None]:
    """In the block, what is said of texts that are too long names the first one as a person finds it in a file.

    Warnings are shown after the block, so that they don't run into a progress bar that is drawn in it.

    Args:
        place: says where the text at a position stands, as in "line 12".
    """

    def translate(message: object, first: int | None) -> str:
        if first is None:
            return str(message)
        named = f"{place(first)})"
        return str(message).replace(f"text {first})", named).replace(f"pair {first})", named)

    held: list[Callable[[], object]] = []
    try:
        with warnings.catch_warnings():
            show_warning = warnings.showwarning

            def hold(message: Warning | str, *where: Any, **options: Any) -> None:
                if isinstance(message, TruncationWarning):
                    message = TruncationWarning(translate(message, message.first))
                held.append(functools.partial(show_warning, message, *where, **options))

            warnings.showwarning = hold
            yield
    except TruncationError as error:
        raise TruncationError(translate(error, error.first), error.first) from None
    finally:
        for show_now in held:
            show_now()


def show(text: str, *, full: bool = False, style: str = "") -> Text:
    """A text for a terminal, on one line; with ``full``, whole and with its line ends."""
    from rich.text import Text

    if full:
        return Text(printable(text, keep=f"\n\t{JOINER}"), style=style)
    one_line = " ".join(text[:_MAX_SHOWN_CHARACTERS].split())
    return Text(printable(one_line, keep=JOINER), style=style, no_wrap=True, overflow="ellipsis")
