"""Checks of texts and lists of texts, before any work on them. An error gives a text's position and never quotes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from pellucid.errors import TextError, TextTypeError

_MIN_COUNTING_LIMIT = 16_384


def counting_limit(max_tokens: int) -> int:
    """Where the tokenizer stops counting a text's tokens, for a model that reads ``max_tokens``.

    A text with at least this many tokens is reported as having "at least" this many. To cut a text, and to say that
    much was cut off, nobody needs to read further.
    """
    return max(_MIN_COUNTING_LIMIT, 2 * max_tokens)


_HINT = " For one text, use embed_query, or a list with one text."


def as_list(texts: Iterable[str], name: str = "texts", items: str = "str", *, hint: str = _HINT) -> list[str]:
    """The texts as a list. Arguments and errors are those of :func:`as_iterator`."""
    return list(as_iterator(texts, name, items, hint=hint))


def as_iterator(texts: Iterable[str], name: str = "texts", items: str = "str", *, hint: str = _HINT) -> Iterator[str]:
    """Iterate over texts. :func:`check_texts` checks the texts themselves.

    Args:
        texts: the texts: a list, a generator, an array, or a column of pandas, polars or pyarrow.
        name: the name of the argument, for messages.
        items: what it must hold, for messages.
        hint: what to do with a single text, for the message if ``texts`` is one.

    Raises:
        TextTypeError: ``texts`` is not an ordered collection of texts. Iterating over a string would give letters, over
            a mapping keys, over a table column names, and over a set an arbitrary order.
    """
    if _is_of(texts, _TABLE_CLASSES):
        raise TextTypeError(
            f"{name} is a {type(texts).__name__}, a table; iterating over it gives its columns, not its texts. "
            f'Pass a column, such as df["text"].'
        )
    if isinstance(texts, (str, bytes, bytearray, Mapping, Set)) or not isinstance(texts, Iterable):
        hint = hint if isinstance(texts, str) else ""
        raise TextTypeError(f"{name} is of type {type(texts).__name__}; it must be a list of {items}.{hint}")
    if _is_of(texts, _COLUMN_CLASSES):  # Its items are not Python's own.
        column: Any = texts
        return (item.as_py() for item in column)
    try:
        return iter(texts)
    except TypeError as error:  # An array without dimensions claims to be iterable, but is not.
        raise TextTypeError(f"{name} cannot be iterated over: {error}. It must be a list of {items}.") from error


_TABLE_CLASSES = {
    "pandas": {"DataFrame"},
    "polars": {"DataFrame", "LazyFrame"},
    "pyarrow": {"Table", "RecordBatch", "RecordBatchReader"},
}


_COLUMN_CLASSES = {"pyarrow": {"Array", "ChunkedArray"}}


def _is_of(value: object, classes: Mapping[str, Set[str]]) -> bool:
    """True for an object of one of these classes, given by package. They are compared by name; none is imported."""
    return any(base.__name__ in classes.get(base.__module__.partition(".")[0], ()) for base in type(value).__mro__)


def check_texts(texts: Sequence[str], *, first: int = 0) -> None:
    """Check texts before any work on them.

    Args:
        texts: the texts.
        first: the position of the first text, for messages.

    Raises:
        TextTypeError: a value is not a ``str``. The message gives its position and type.
        TextError: a text has a lone surrogate, which is half a character. The message gives its position.
    """
    for position, text in enumerate(texts, start=first):
        if not isinstance(text, str):
            raise TextTypeError(
                f"text {position} is of type {type(text).__name__}; every text must be a str. "
                f"Leave out entries without a text, or pass ''."
            )
        if not text.isascii():  # For most texts, this saves encoding them here.
            check_utf8(text, f"text {position}")


def check_utf8(text: str, name: str) -> None:
    """Refuse a text that cannot be written in UTF-8. ``name`` is what the message calls it.

    Raises:
        TextError: the text has a lone surrogate.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            f"{name} has a lone surrogate (half of a UTF-16 pair, U+{ord(text[error.start]):04X}) at character "
            f"{error.start}, which no encoding can write. If the text was read with errors='surrogateescape', its "
            f"bytes are in another encoding. Decode them with that encoding."
        ) from None
