"""Which files a job reads, what their output is named after, and whether they are still what they were."""

from __future__ import annotations

import glob
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import BatchError, printable

KINDS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "text"}
BYTES_AT_ONCE = 1 << 20
_LONGEST_NAME = 100
"""Bytes of a name that an output file begins with: file systems take 255 in all."""
_HIDDEN = (".", "_")
"""Arrow, pandas, Spark and Hive pass over names that begin with these."""
_NOT_UTF8 = (b"\xff\xfe", b"\xfe\xff", b"\0")


@dataclass(frozen=True)
class InputFile:
    """One file, as it was surveyed.

    Attributes:
        path: where it is.
        name: what its output is named after; unique in the job.
        kind: a value of ``KINDS``.
        stamp: its size in bytes, and when it was last changed, in nanoseconds.
        sha256: of its bytes.
        rows: how many it has, good or bad.
        offsets: of lines, at which byte each part begins; empty for Parquet.
    """

    path: Path
    name: str
    kind: str
    stamp: tuple[int, int]
    sha256: str
    rows: int
    offsets: tuple[int, ...] = ()

    def check_unchanged(self) -> None:
        """Refuse a file that is not what it was when it was surveyed.

        Raises:
            BatchError: it was changed, or is gone.
        """
        if stamp_of(self.path) != self.stamp:
            raise BatchError(
                f"{printable(self.path)} was changed since the job began. What is written is of the file as it was. "
                f"Put that back and run the same again, or begin another job."
            )


def stamp_of(path: Path) -> tuple[int, int]:
    """The size of a file, and when it was last changed.

    Raises:
        BatchError: it cannot be looked at.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise BatchError(f"{printable(path)} cannot be read ({error.strerror}).") from error
    return state.st_size, state.st_mtime_ns


def sha256_of(path: Path, told: Callable[[int], object]) -> str:
    """The digest of a file; ``told`` hears of bytes as they are read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BYTES_AT_ONCE):
            digest.update(block)
            told(len(block))
    return digest.hexdigest()


def check_encoding(path: Path) -> None:
    """Refuse lines in UTF-16 or UTF-32, whose first two bytes are a mark or have a zero.

    Raises:
        BatchError: the file has one of these encodings.
    """
    with path.open("rb") as file:
        start = file.read(2)
    if start.startswith(_NOT_UTF8) or b"\0" in start:
        raise BatchError(
            f"{printable(path)} is not UTF-8; it looks like UTF-16 or UTF-32. Convert it first, as with: "
            f"iconv -f UTF-16 -t UTF-8"
        )


def find(inputs: Sequence[str], output: Path) -> list[Path]:
    """The files that are meant: files, folders with everything below them, and patterns; each once, in order.

    In folders, what is hidden or begins with ``_`` is not data, as Spark and Arrow have it; nor is what lies in
    ``output``, which an earlier run of the same job may have filled.

    Raises:
        BatchError: nothing is there, a folder cannot be read, or a file cannot be read as a table.
    """
    found: dict[Path, Path] = {}
    own = _real(output)
    for given in inputs:
        there = {_real(file): file for file in _meant(given)}
        if not there:
            raise BatchError(
                f"{printable(given)}: there is no file of that name, and none in a folder or of a pattern of it."
            )
        below = {real: file for real, file in there.items() if file == Path(given) or own not in real.parents}
        if not below:
            raise BatchError(f"{printable(given)}: all that is there is the output of this job.")
        found = below | found
    for path in found.values():
        if path.suffix.lower() not in KINDS:
            raise BatchError(f"{printable(path)} cannot be read: the name must end in {', '.join(KINDS)}.")
        if not path.is_file():
            raise BatchError(f"{printable(path)} cannot be read: it is not a regular file, or it is a broken link.")
    return sorted(found.values())


def _real(path: Path) -> Path:
    with _named(path):
        return path.resolve()


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """What goes wrong with a path is an error that names it."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # The last two: a null in a name, and links in a circle.
        where = getattr(error, "filename", None) or path
        reason = getattr(error, "strerror", None) or error
        raise BatchError(f"{printable(where)} cannot be read ({printable(str(reason))}).") from error


def _meant(given: str) -> list[Path]:
    path = Path(given)
    with _named(given):
        if path.is_dir():
            return [file for file in _below(path) if file.suffix.lower() in KINDS]
        if os.path.lexists(path):
            return [path]
        return [file for file in _matching(given) if not file.is_dir()]


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        yield from (Path(where, name) for name in names if not name.startswith(_HIDDEN))


def _matching(pattern: str) -> Iterator[Path]:
    """What a pattern matches, as in a shell; but ``**`` follows no link to a folder, which might lead back."""
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


def names_of(paths: Sequence[Path]) -> Iterable[str]:
    """A name for each file that no other has, without folders and endings where they are not needed."""
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    for path in paths:
        letters = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in path.stem)
        letters = letters.lstrip("".join(_HIDDEN)) or "rows"
        plain = letters.encode()[:_LONGEST_NAME].decode(errors="ignore")
        name = ""
        while not name or _alike(name) in taken:  # Of files called a, a and a.2, the second cannot be a.2.
            counts[plain] += 1
            name = plain if counts[plain] == 1 else f"{plain}.{counts[plain]}"
        taken.add(_alike(name))
        yield name


def _alike(name: str) -> str:
    """Names that some file systems take for the same have the same of these."""
    return unicodedata.normalize("NFC", name).casefold()
