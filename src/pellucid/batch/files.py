"""Which files a job reads, and what its output files are named after."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pellucid.errors import BatchError, printable
from pellucid.files.walk import SkippedFile, find_files
from pellucid.tables.records import KINDS

_MAX_NAME_BYTES = 100
"""The longest beginning of an output file's name; file systems allow 255 bytes in all."""
_HIDDEN = (".", "_")
"""Arrow, pandas, Spark and Hive skip names that begin with these."""


def find(inputs: Sequence[str], output: Path) -> list[Path]:
    """The input files, each once, in the order of their paths.

    In folders, what is hidden or begins with ``_`` is skipped, as Spark and Arrow do. So is everything below
    ``output``, which an earlier run of the same job may have filled.

    Args:
        inputs: files, folders (with everything below them), and patterns.
        output: the job's folder.

    Raises:
        BatchError: nothing is there, a folder cannot be read, or a file cannot be read as a table.
    """
    found: dict[Path, Path] = {}
    own = _resolve(output)
    for name in inputs:
        files = {_resolve(file): file for file in _expand(name, own)}
        if not files:
            raise BatchError(
                f"{printable(name)} matches no file, or contains no tables. A table's name ends in {', '.join(KINDS)}."
            )
        input_files = {real: file for real, file in files.items() if file == Path(name) or own not in real.parents}
        if not input_files:
            raise BatchError(f"{printable(name)} has nothing but the output of this job.")
        found = input_files | found
    for path in found.values():
        if path.suffix.lower() not in KINDS:
            raise BatchError(f"{printable(path)} cannot be read: the name must end in {', '.join(KINDS)}.")
        if not path.is_file():
            raise _not_a_file(path)
    return sorted(found.values())


def _not_a_file(path: Path) -> BatchError:
    return BatchError(f"{printable(path)} cannot be read: it is not a regular file, or it is a broken link.")


def _resolve(path: Path) -> Path:
    with _naming(path):
        return path.resolve()


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong with a path into an error that names it."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # The last two: a null in a name, and links in a circle.
        where = getattr(error, "filename", None) or path
        reason = getattr(error, "strerror", None) or error
        raise BatchError(f"{printable(where)} cannot be read ({printable(str(reason))}).") from error


def _expand(name: str, output: Path) -> list[Path]:
    """The files that an input stands for. ``output`` is the job's folder."""
    path = Path(name)
    with _naming(name):
        if path.is_dir():
            return list(_tables_below(path, output))
        if os.path.lexists(path):
            return [path]
        return [file for file in _matching(name) if not file.is_dir()]


def _tables_below(folder: Path, output: Path) -> Iterator[Path]:
    for file in find_files([folder], hidden=_HIDDEN, gitignore=False, follow_links=False):
        is_table = file.path.suffix.lower() in KINDS
        if isinstance(file, SkippedFile):
            if (is_table or file.is_folder) and not _resolve(file.path.parent).is_relative_to(output):
                raise BatchError(f"{printable(file.path)} cannot be read ({file.reason}).")
        elif is_table:
            yield file.path


def _matching(pattern: str) -> Iterator[Path]:
    """The files that a pattern matches, as in a shell. But ``**`` follows no links to folders, which may lead back."""
    names = Path(pattern).parts
    if "**" not in names:
        yield from (Path(name) for name in glob.glob(pattern))  # noqa: PTH207
        return
    stars = names.index("**")
    after = Path(*(names[stars + 1 :] or ["*"]))
    for top in glob.glob(str(Path(*names[:stars]))):  # noqa: PTH207
        for where, folders, _ in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from _matching(str(Path(glob.escape(where), after)))


def names_of(paths: Sequence[Path]) -> Iterator[str]:
    """A name for each file, unlike all others: its own, without folders, its ending, and letters that cause trouble."""
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    for path in paths:
        letters = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in path.stem)
        letters = letters.lstrip("".join(_HIDDEN)) or "rows"
        plain = letters.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
        name = ""
        while not name or _fold(name) in taken:  # Of files called a, a and a.2, the second cannot be a.2.
            counts[plain] += 1
            name = plain if counts[plain] == 1 else f"{plain}.{counts[plain]}"
        taken.add(_fold(name))
        yield name


def _fold(name: str) -> str:
    """The same for names that some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()
