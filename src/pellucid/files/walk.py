"""The files under folders, for search and for batch jobs."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import GitignoreError, OptionError
from pellucid.files.ignoring import Rules, read_rules
from pellucid.reprs import short_repr

NOT_A_FILE = "neither a file nor a folder"
"""Why a pipe, a socket or a device is skipped."""


@dataclass(frozen=True)
class FoundFile:
    r"""A regular file.

    Attributes:
        path: the file.
        name: its path below the folder it was found under, with ``/``, after that folder's own name. Where two of
            those folders have the same name, the names of the folders above them come first. No two files have the
            same name: a byte that is not UTF-8 is written ``\xff``, and a backslash is written twice.
        size: the file's size in bytes.
        modified: the time of its last change, in nanoseconds since 1970.
    """

    path: Path
    name: str
    size: int
    modified: int


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that cannot be read.

    Attributes:
        path: the file or folder.
        name: its path below the folder it was found under, made as for a file that can be read.
        reason: why it cannot be read.
        is_folder: True if it is a folder.
    """

    path: Path
    name: str
    reason: str
    is_folder: bool = False

    __repr__ = short_repr


@dataclass(frozen=True)
class _Walk:
    """What one walk skips, and which folders it has entered.

    Attributes:
        hidden: skip names that begin with one of these.
        gitignore: True to follow ``.gitignore`` files.
        follow_links: True to enter folders through links.
        why_not: says of the names in a folder why to skip that folder, if there is a reason.
        entered: the device and inode of each folder that was entered.
    """

    hidden: tuple[str, ...]
    gitignore: bool
    follow_links: bool
    why_not: Callable[[Collection[str]], str | None]
    entered: set[tuple[int, int]]


def find_files(
    roots: Sequence[Path],
    *,
    hidden: tuple[str, ...] = (".",),
    gitignore: bool = True,
    follow_links: bool = True,
    why_not: Callable[[Collection[str]], str | None] = lambda _names: None,
) -> Iterator[FoundFile | SkippedFile]:
    """All files under some folders, and files named themselves, ordered by name.

    Each folder is entered once, so a loop of links ends.

    Args:
        roots: folders and files.
        hidden: skip files and folders whose names begin with one of these.
        gitignore: skip what a ``.gitignore`` names, by git's rules. Where a ``.gitignore`` cannot be followed, its
            folder is skipped: it may hold files that nobody should find.
        follow_links: enter folders through links.
        why_not: says of the names in a folder why to skip that folder as a whole; None to read it.

    Raises:
        OptionError: a root is neither a file nor a folder.
    """
    for root in roots:
        if not os.path.exists(root):  # noqa: PTH110  Path.exists() raises where a folder above it cannot be entered.
            raise OptionError(f"{root} is neither a file nor a folder.")
    walk = _Walk(hidden, gitignore, follow_links, why_not, set())
    for root, name in _root_names(roots):
        yield from _under(root, name, walk)


def root_folders(roots: Sequence[Path], taken: Collection[str] = ()) -> dict[str, Path]:
    """Where each root is, by the name that :func:`find_files` gives it.

    Args:
        roots: folders and files.
        taken: names that other roots have. A root gets none of these, and no name within one of them.
    """
    return {_printable_name(name): root.resolve() for root, name in _root_names(roots, taken)}


def path_of(name: str, roots: Mapping[str, Path]) -> Path | None:
    """Where a file is, by the name that :func:`find_files` gave it; None if it is under none of the roots."""
    root = name
    while root and root not in roots:
        root = root.rpartition("/")[0]
    if not root:
        return None
    below = re.sub(rb"\\\\|\\x[0-9a-f]{2}", _original_byte, name[len(root) + 1 :].encode())
    return roots[root] / os.fsdecode(below) if below else roots[root]


def _original_byte(escape: re.Match[bytes]) -> bytes:
    return b"\\" if escape[0] == b"\\\\" else bytes.fromhex(escape[0][2:].decode())


def name_of(path: Path, names: Mapping[Path, str]) -> str | None:
    """The name of a resolved path below the innermost root that it lies in; None if it lies in none.

    Args:
        path: the path.
        names: the name of each root, by where the root is.
    """
    root = next((place for place in (path, *path.parents) if place in names), None)
    if root is None:
        return None
    return "/".join((names[root], *map(_printable_name, path.relative_to(root).parts)))


def _root_names(roots: Sequence[Path], taken: Collection[str] = ()) -> list[tuple[Path, str]]:
    """Each root with its name. Roots of the same name get as many folder names before it as tell them apart."""
    resolved = {root.resolve(): root for root in roots}
    counts = dict.fromkeys(resolved, 1)
    while True:
        names = {place: "/".join(place.parts[-count:]) for place, count in counts.items()}
        printable = {place: _printable_name(name) for place, name in names.items()}
        uses = Counter([*printable.values(), *taken])
        above = {folder for name in uses for folder in _folders_above(name)}
        # Roots may share no name. Nor may a root's name mean a file below another root.
        ambiguous = [
            place
            for place, name in printable.items()
            if (uses[name] > 1 or name in above or not uses.keys().isdisjoint(_folders_above(name)))
            and counts[place] < len(place.parts)
        ]
        if not ambiguous:
            return [(resolved[place], name) for place, name in names.items()]
        for place in ambiguous:
            counts[place] += 1


def _folders_above(name: str) -> list[str]:
    """The beginnings of a name that are folders: "a" and "a/b" for "a/b/c"."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _under(root: Path, root_name: str, walk: _Walk) -> Iterator[FoundFile | SkippedFile]:
    """A file, or all files below a folder.

    A list of what is left to visit, not recursion: folders may be nested deeper than Python's calls. Paths are plain
    strings, because making a Path of a deep one takes long.
    """
    waiting: list[tuple[str, str, bool, Sequence[tuple[int, Rules]]]] = [(str(root), root_name, root.is_dir(), ())]
    while waiting:
        path, name, is_folder, rules = waiting.pop()
        if not is_folder:
            yield _describe_file(path, name)
            continue
        try:
            if walk.follow_links:
                status = os.stat(path)  # noqa: PTH116
                if (status.st_dev, status.st_ino) in walk.entered:
                    continue
                walk.entered.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
            if walk.gitignore and any(entry.name == ".gitignore" and entry.is_file() for entry in entries):
                rules = [*rules, (name.count("/") + 1, read_rules(Path(path, ".gitignore")))]
            reason = walk.why_not([entry.name for entry in entries]) if path != str(root) else None
        except (OSError, GitignoreError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        if reason:
            yield SkippedFile(Path(path), _printable_name(name), reason, is_folder=True)
            continue
        for entry in entries:
            entry_name, is_folder = f"{name}/{entry.name}", _is_folder(entry)
            if entry.name.startswith(walk.hidden) or _is_ignored(entry_name, rules, is_folder=is_folder):
                continue
            if walk.follow_links or not (is_folder and entry.is_symlink()):
                waiting.append((entry.path, entry_name, is_folder, rules))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one. A folder that cannot be entered is one too."""
    try:
        return entry.is_dir()
    except OSError:  # A link whose target cannot be reached.
        return False


def _printable_name(name: str) -> str:
    r"""A name as text, though its bytes need not be UTF-8: ``\xff`` for a byte, ``\\`` for a backslash."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def _describe_file(path: str, name: str) -> FoundFile | SkippedFile:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return SkippedFile(Path(path), _printable_name(name), error.strerror or str(error))
    if not stat.S_ISREG(status.st_mode):
        return SkippedFile(Path(path), _printable_name(name), NOT_A_FILE)
    return FoundFile(Path(path), _printable_name(name), status.st_size, status.st_mtime_ns)


def _is_ignored(name: str, rules: Sequence[tuple[int, Rules]], *, is_folder: bool) -> bool:
    """Whether a rule ignores an entry of a folder. Rules of deeper folders go first, and may include it again.

    Args:
        name: the entry's name, from the root's on.
        rules: for each ``.gitignore`` above it, how many parts of ``name`` lead to its folder, and its rules.
        is_folder: True if it is a folder.
    """
    for depth, folder_rules in reversed(rules):
        ignored = folder_rules.ignores(name.split("/", depth)[-1], is_folder=is_folder)
        if ignored is not None:
            return ignored
    return False
