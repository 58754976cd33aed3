"""Hints for calls that were probably meant otherwise: a file in the place of a text, or the other way round."""

from __future__ import annotations

import re
from pathlib import Path

from pellucid.cli.terminal import say
from pellucid.errors import OptionError, printable

_PATH = re.compile(r"(?!\w+://)(\S*[/\\]\S+|\S+\.(txt|csv|jsonl|ndjson|parquet|json|md|tsv))", re.IGNORECASE)
"""What looks like a path: it has no spaces, and either a separator or the ending of a file of texts."""


def hint_at_path(text: str, for_file: str) -> None:
    """Say that a text looks like a path. The text itself is used all the same.

    Args:
        text: a text of the call.
        for_file: what to type for the texts in a file, with {} for its name.
    """
    name = printable(text)
    if is_file(text):
        say(f"hint: {name} is a file, but here it is taken as a text. For the texts in it: {for_file.format(name)}")
    elif _is_folder(text):
        say(f"hint: {name} is a folder, but here it is taken as a text. To search in it: pellucid index {name}")
    elif _PATH.fullmatch(text):
        say(f"hint: there is no file {name}, so it is taken as a text.")


def check_order(text: str, file: Path | None, call: str) -> None:
    """Refuse a text and a file that were swapped: the first is a file, and the second is not.

    Args:
        text: what is in the place of the text.
        file: what is in the place of the file.
        call: the command, for the message.

    Raises:
        OptionError: they were swapped. The message says what to type.
    """
    if file is not None and is_file(text) and str(file) != "-" and not file.exists():
        name = printable(text)
        raise OptionError(f"{name} is a file, and stands where the text goes. Type the text first: {call} TEXT {name}")


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
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # It is far too long for a name, or has a zero byte.
        return False


def _is_folder(text: str) -> bool:
    """Whether a text is the name of a folder."""
    try:
        return bool(text) and Path(text).is_dir()  # Path("") is this folder.
    except (OSError, ValueError):
        return False
