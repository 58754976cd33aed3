"""Hints for calls that were probably meant otherwise: a file in the place of a text, or the other way round."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from pellucid.cli.terminal import say
from pellucid.errors import OptionError, printable

_WORD = re.compile(r"(?!\w+://)\S+")
"""What may be a path: it has no spaces, and is no address of the web."""
_ENDING = re.compile(r".+\.(txt|csv|jsonl|ndjson|parquet|json|md|tsv)", re.IGNORECASE)
"""What ends like the name of a file of texts."""


def hint_at_path(text: str, for_file: str) -> None:
    """Say that a text looks like a path. The text itself is used all the same.

    Args:
        text: a text of the call.
        for_file: what to type for the texts in a file, with {} for its name.
    """
    name = printable(text)
    if is_file(text):
        example = for_file.format(shlex.quote(name))
        say(f"hint: {name} is a file, but here it is taken as a text. For the texts in it: {example}")
    elif _is_folder(text):
        example = f"pellucid index {shlex.quote(name)}"
        say(f"hint: {name} is a folder, but here it is taken as a text. To search in it: {example}")
    elif _looks_like_path(text):
        say(f"hint: there is no file {name}, so it is taken as a text.")


def check_order(text: str, file: Path | None, call: str, *, place: str = "text") -> None:
    """Refuse a text and a file that were swapped: the first is a file, and the second is not.

    Args:
        text: what is in the place of the text.
        file: what is in the place of the file.
        call: the command, for the message.
        place: what the command calls the text.

    Raises:
        OptionError: they were swapped. The message says what to type.
    """
    if file is not None and is_file(text) and str(file) != "-" and not _is(Path.exists, str(file)):
        name = printable(text)
        example = f"{call} {place.upper()} {shlex.quote(name)}"
        raise OptionError(f"{name} is a file, and stands where the {place} goes. Type the {place} first: {example}")


def choose_file(argument: Path | None, option: Path | None) -> Path | None:
    """The file of a call, which is given by its place or with ``-f``.

    Raises:
        OptionError: it is given twice.
    """
    if argument is not None and option is not None:
        raise OptionError("give the file once: either by itself or with -f.")
    return option if argument is None else argument


def is_file(text: str) -> bool:
    """Whether a text is the name of a file."""
    return _is(Path.is_file, text)


def _is_folder(text: str) -> bool:
    """Whether a text is the name of a folder."""
    return bool(text) and _is(Path.is_dir, text)  # Path("") is this folder.


def _looks_like_path(text: str) -> bool:
    """Whether a text, which is neither a file nor a folder, was probably meant as one. "TCP/IP" was not."""
    in_a_folder = ("/" in text or os.sep in text) and _is_folder(str(Path(text).parent))
    return bool(_WORD.fullmatch(text)) and (in_a_folder or bool(_ENDING.fullmatch(text)))


def _is(test: Callable[[Path], bool], text: str) -> bool:
    """Whether a text is the name of something that passes a test."""
    try:
        return test(Path(text))
    except (OSError, ValueError):  # It is far too long for a name, or has a zero byte.
        return False
