"""What a text is, and a list of texts: judged before any is worked on, and named by position, never quoted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from pellucid.errors import TextError, TextTypeError

_FAIR_COUNT = 16_384


def most_counted(max_tokens: int) -> int:
    """Up to how many tokens a text's tokens are counted, for a model that reads ``max_tokens``: what has so many or
    more has "at least" so many. A text need not be read further to be cut, nor to say that much was cut off it.
    """
    return max(_FAIR_COUNT, 2 * max_tokens)


def as_list(texts: Iterable[str]) -> list[str]:
    """The texts as a list; the errors of :func:`as_iterator`."""
    return list(as_iterator(texts))


def as_iterator(texts: Iterable[str]) -> Iterator[str]:
    """The texts one by one; refuses what would be taken apart into letters, keys or an order of chance.

    Raises:
        TextTypeError: it is no such collection. What is in it is for :func:`check_texts` to judge.
    """
    if _is_table(texts):
        raise TextTypeError(
            f"texts is a {type(texts).__name__}, a table; going through one gives its columns, not its texts. "
            f'Pass the column, as in df["text"].'
        )
    if isinstance(texts, (str, bytes, bytearray, Mapping, Set)) or not isinstance(texts, Iterable):
        hint = " For one text, use embed_query, or a list with one text." if isinstance(texts, str) else ""
        raise TextTypeError(f"texts is of type {type(texts).__name__}; it must be a list of str.{hint}")
    try:
        return iter(texts)
    except TypeError as error:  # An array without dimensions says that it can be iterated over, and cannot.
        raise TextTypeError(f"texts cannot be taken apart into texts: {error}.") from error


_TABLES = {
    "pandas": {"DataFrame"},
    "polars": {"DataFrame", "LazyFrame"},
    "pyarrow": {"Table", "RecordBatch", "RecordBatchReader"},
}


def _is_table(value: object) -> bool:
    """Whether a value is a table of a library that we know by name; none of them is imported."""
    classes = type(value).__mro__
    return any(each.__name__ in _TABLES.get(each.__module__.partition(".")[0], ()) for each in classes)


def check_texts(texts: Sequence[str], *, first: int = 0) -> None:
    """Judge texts before any is worked on; ``first`` is the position of the first, for messages.

    Raises:
        TextTypeError: a value is not a ``str``; its position and type are named.
        TextError: a text has a lone surrogate, which is half a character; its position is named.
    """
    for position, text in enumerate(texts, start=first):
        if not isinstance(text, str):
            raise TextTypeError(
                f"text {position} is of type {type(text).__name__}; every text must be a str. "
                f"Leave out what has no text, or pass ''."
            )
        check_utf8(text, f"text {position}")


def check_utf8(text: str, name: str) -> None:
    """Refuse what UTF-8 cannot write; ``name`` is what the text is called in the message.

    Raises:
        TextError: it has a lone surrogate.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            f"{name} has a lone surrogate (half of a UTF-16 pair, U+{ord(text[error.start]):04X}) at character "
            f"{error.start}, which no encoding can write. Text that was read with errors='surrogateescape' is bytes of "
            f"another encoding: decode it with the right one."
        ) from None
