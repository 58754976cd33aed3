"""Which files of a folder are worth reading: all but hidden ones and those that ``.gitignore`` leaves out."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import IgnoreFileError, OptionError
from pellucid.files.ignoring import Rules, read_rules


@dataclass(frozen=True)
class FoundFile:
    r"""A file.

    Attributes:
        path: where it is.
        name: what it is called in the index: relative to the folder that it was found under, with ``/``, after that
            folder's own name, and as much of the way to that folder as tells it from others of its name. No two
            files have the same: a byte that is not UTF-8 is written ``\xff``, and a backslash is written twice.
        size: in bytes.
        modified: when it was changed last, in nanoseconds since 1970.
    """

    path: Path
    name: str
    size: int
    modified: int


@dataclass(frozen=True)
class Skipped:
    """A file or folder that could not be read, and why."""

    name: str
    reason: str


def find(roots: Sequence[Path]) -> Iterator[FoundFile | Skipped]:
    """All files under some folders, or files named themselves, in the order of their names.

    Hidden files and folders are passed over in silence, and so is what a ``.gitignore`` leaves out, by git's own rules.
    Where a ``.gitignore`` cannot be followed, its folder is skipped: it may have what nobody should find. Links are
    followed, each folder is entered once, so a loop of links ends.

    Raises:
        OptionError: a root is neither a file nor a folder.
    """
    for root in roots:
        if not os.path.exists(root):  # noqa: PTH110  Path.exists() raises where a folder above it cannot be entered.
            raise OptionError(f"{root} is neither a file nor a folder.")
    entered: set[tuple[int, int]] = set()
    for root, name in _names(roots):
        yield from _under(root, name, entered)


def _names(roots: Sequence[Path]) -> list[tuple[Path, str]]:
    """What each root is called: its own name, after those of folders above it as long as two would have the same."""
    resolved = {root.resolve(): root for root in roots}
    counts = dict.fromkeys(resolved, 1)
    while True:
        names = {place: "/".join(place.parts[-count:]) for place, count in counts.items()}
        taken = Counter(names.values())
        longer = [place for place, name in names.items() if taken[name] > 1 and counts[place] < len(place.parts)]
        if not longer:
            return [(resolved[place], name) for place, name in names.items()]
        for place in longer:
            counts[place] += 1


def _under(root: Path, name: str, entered: set[tuple[int, int]]) -> Iterator[FoundFile | Skipped]:
    """A file, or all files below a folder, with a list of what is to come: folders may be deeper than calls.

    Paths are plain strings here: to make a Path of a deep one takes long.
    """
    waiting: list[tuple[str, str, Sequence[tuple[int, Rules]]]] = [(str(root), name, ())]
    while waiting:
        path, name, rules = waiting.pop()
        if not _is_folder(path):
            yield _judged(path, name)
            continue
        try:
            status = os.stat(path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
            if any(entry.name == ".gitignore" and entry.is_file() for entry in entries):
                rules = [*rules, (name.count("/") + 1, read_rules(Path(path, ".gitignore")))]
        except (OSError, IgnoreFileError) as error:
            yield Skipped(_readable(name), getattr(error, "strerror", None) or str(error))
            continue
        waiting += [
            (entry.path, f"{name}/{entry.name}", rules)
            for entry in entries
            if not entry.name.startswith(".") and not _left_out(f"{name}/{entry.name}", entry, rules)
        ]


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _readable(name: str) -> str:
    r"""A name as text can hold it, though its bytes need not be UTF-8: ``\xff`` for a byte, ``\\`` for a backslash."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def _judged(path: str, name: str) -> FoundFile | Skipped:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return Skipped(_readable(name), error.strerror or str(error))
    if not stat.S_ISREG(status.st_mode):
        return Skipped(_readable(name), "neither a file nor a folder")
    return FoundFile(Path(path), _readable(name), status.st_size, status.st_mtime_ns)


def _left_out(name: str, entry: os.DirEntry[str], rules: Sequence[tuple[int, Rules]]) -> bool:
    """Whether a rule leaves an entry of a folder out. Those of deeper folders go first, and may take it in again.

    Args:
        name: what the entry is called in the index.
        entry: the entry.
        rules: of each ``.gitignore`` above, with how many parts of the name lead to its folder.
    """
    if not rules:
        return False
    is_folder = _is_folder(entry.path)
    for parts, each in reversed(rules):
        left_out = each.leaves_out(name.split("/", parts)[-1], is_folder=is_folder)
        if left_out is not None:
            return left_out
    return False
