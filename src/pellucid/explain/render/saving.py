"""Writes what ``explain`` makes to files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pellucid.errors import OptionError, printable
from pellucid.explain.comparison import Comparison
from pellucid.explain.render.html import page
from pellucid.explain.text_map import TextMap
from pellucid.explain.trace import Trace
from pellucid.files import whole


def save_page(subject: Trace | Comparison | TextMap, path: str | os.PathLike[str]) -> None:
    """Write the page about a subject.

    Raises:
        OptionError: the file cannot be written.
    """
    content = page(subject)
    with new_file(path) as file:
        file.write_text(content, encoding="utf-8")


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to write to, which becomes ``path`` once all of it is there. A ``~`` at its start is the home folder.

    Raises:
        OptionError: it cannot be written.
    """
    try:
        target = Path(path).expanduser()
    except RuntimeError:
        raise OptionError(f"{printable(path)}: there is no such home folder. Write the path in full.") from None
    if "\0" in str(target):
        raise OptionError(f"{printable(path)} cannot be a file's name, because it has a null character.")
    try:
        with whole.in_one_step(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise OptionError(
            f"{printable(path)} cannot be written ({error.strerror or error}). Check that its folder exists and that "
            f"you may write there."
        ) from error
