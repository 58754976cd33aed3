"""Which files of a folder are worth reading: all but hidden ones and those that ``.gitignore`` leaves out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True)
class Found:
    """A file.

    Attributes:
        path: where it is.
        name: what it is called in the index: relative to the folder that it was found under, with ``/``, after that
            folder's own name.
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


def find(roots: Sequence[Path]) -> Iterator[Found | Skipped]:
    """All files under some folders, or files named themselves, in the order of their names.

    Hidden files and folders are passed over in silence, and so is what a ``.gitignore`` leaves out, by git's own rules.
    Links are followed, each folder is entered once, so a loop of links ends.

    Raises:
        OptionError: a root is neither a file nor a folder.
        MissingExtraError: the extra ``search`` is not installed.
    """
    for root in roots:
        if not root.exists():
            raise OptionError(f"{root} is neither a file nor a folder.")
    entered: set[tuple[int, int]] = set()
    for root in roots:
        name = root.resolve().name or str(root)
        if root.is_dir():
            yield from _under(root, name, [], entered)
        else:
            yield _judged(root, name)


def _under(
    folder: Path, name: str, rules: Sequence[tuple[Path, GitIgnoreSpec]], entered: set[tuple[int, int]]
) -> Iterator[Found | Skipped]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in entered:
            return
        entered.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(name, error.strerror or str(error))
        return
    ignore = next((entry for entry in entries if entry.name == ".gitignore"), None)
    if ignore is not None:
        rules = [*rules, *_rules(Path(ignore.path))]
    for entry in entries:
        path, its_name = Path(entry.path), f"{name}/{entry.name}"
        if entry.name.startswith("."):
            continue
        is_folder = path.is_dir()
        if _left_out(path, rules, is_folder=is_folder):
            continue
        if is_folder:
            yield from _under(path, its_name, rules, entered)
        else:
            yield _judged(path, its_name)


def _judged(path: Path, name: str) -> Found | Skipped:
    try:
        status = path.stat()
    except OSError as error:
        return Skipped(name, error.strerror or str(error))
    if not path.is_file():
        return Skipped(name, "neither a file nor a folder")
    return Found(path, name, status.st_size, status.st_mtime_ns)


def _rules(file: Path) -> list[tuple[Path, GitIgnoreSpec]]:
    try:
        from pathspec import GitIgnoreSpec
    except ImportError:
        raise MissingExtraError("pathspec", "search") from None

    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # A .gitignore that cannot be read leaves nothing out, as in git.
        return []
    return [(file.parent, GitIgnoreSpec.from_lines(lines))]


def _left_out(path: Path, rules: Sequence[tuple[Path, GitIgnoreSpec]], *, is_folder: bool) -> bool:
    """By the last rule that says anything: those of deeper folders come later, and may take a file back in."""
    left_out = False
    for folder, spec in rules:
        said = spec.check_file(path.relative_to(folder).as_posix() + ("/" if is_folder else ""))
        if said.include is not None:
            left_out = said.include
    return left_out
