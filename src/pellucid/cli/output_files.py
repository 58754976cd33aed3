"""The files that commands write: their names are checked before any work, and they appear whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from pellucid.errors import OptionError, either, printable
from pellucid.files import whole


def check_ending(out: Path, endings: Collection[str], *, option: str = "-o") -> str:
    """Check the name of a file to write.

    Args:
        out: the file.
        endings: the endings that the name may have.
        option: the option that names the file, for error messages.

    Returns:
        The name's ending, in lower case.

    Raises:
        OptionError: the name has another ending, or is a folder, or its folder does not exist.
    """
    ending = out.suffix.lower()
    if ending not in endings:
        raise OptionError(f"{option} {printable(out)}: the ending must be {either(list(endings))}.")
    if out.is_dir():
        raise OptionError(f"{option} {printable(out)}: that is a folder. Give the name of a file.")
    if not out.parent.is_dir():
        raise OptionError(f"{option} {printable(out)}: there is no folder {printable(out.parent)}. Make it first.")
    return ending


@contextlib.contextmanager
def open_output(out: Path, *, option: str = "-o") -> Iterator[Path]:
    """Give a temporary path to write to, which becomes ``out`` once it is complete.

    Args:
        out: the file.
        option: the option that names the file, for error messages.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        with whole.in_one_step(out.absolute()) as unfinished:
            yield unfinished
    except OSError as error:
        reason = error.strerror or "the disk may be full"  # NumPy's error for a short write has no code.
        raise OptionError(f"{option} {printable(out)}: it cannot be written ({reason}).") from error
