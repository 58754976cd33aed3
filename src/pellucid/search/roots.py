"""The files and folders that an index was made of, and how the next update changes them.

Each has a name, with which the names of its files begin. It keeps that name, so its files keep theirs.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pellucid.files.walk import name_of, path_of, root_folders
from pellucid.search.rows import IndexedFile


def places_of(roots: Sequence[Path], known: Mapping[str, Path]) -> list[Path]:
    """Where each root is, or was. It need not exist, and may be a link in a circle.

    A link in a known root is a part of that root, because the walk enters it there. Any other is what it leads to.
    """
    names = _by_place(known)
    return [_place_of(root, names) for root in roots]


def _place_of(root: Path, names: Mapping[Path, str]) -> Path:
    for folder in reversed((root, *root.parents)):
        place = Path(os.path.realpath(folder))
        if name_of(place, names) is not None and ".." not in root.parts:
            return place / root.relative_to(folder)
    return Path(os.path.realpath(root))


def named_places(roots: Sequence[Path], known: Mapping[str, Path]) -> dict[str, Path]:
    """Where each root is, by the name that the walk gives it. All roots exist."""
    places = dict(zip(map(Path.resolve, roots), places_of(roots, known), strict=True))
    return {name: places[target] for name, target in root_folders(roots).items()}


def relocated(
    known: Mapping[str, Path], named: Collection[Path], indexed: Mapping[str, IndexedFile]
) -> dict[str, Path]:
    """The known roots, where those that were moved are now.

    A root was moved if nothing is where it was, a root of the same file name is named that is not known yet, and that
    one has one of its files, unchanged. Without such a file, the two may only share a name: the known one may be on a
    disk that is not there at the moment.

    Args:
        known: the roots of the index.
        named: where the named roots are.
        indexed: the files of the index.
    """
    names = _by_place(known)
    new = {place.name: place for place in reversed([*named]) if name_of(place, names) is None}
    gone = {name: place.name for name, place in known.items() if place.name in new and not os.path.lexists(place)}
    roots = dict(known)
    for file, before in indexed.items() if gone else ():
        name = next((beginning for beginning in _beginnings(file) if beginning in known), None)
        if name in gone and gone[name] in new and _is_at(path_of(file, {name: new[gone[name]]}), before):
            roots[name] = new.pop(gone.pop(name))
    return roots


def _is_at(path: Path | None, file: IndexedFile) -> bool:
    """Whether a file is at a path as the index has it."""
    try:
        status = os.stat(path or "")  # noqa: PTH116
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.modified)


def joined(known: Mapping[str, Path], named: Iterable[Path]) -> dict[str, Path]:
    """The known roots, and the named ones that lie in none of them, with names of their own."""
    names = _by_place(known)
    new = []
    for place in sorted(named, key=lambda place: len(place.parts)):
        if name_of(place, names) is None:
            names[place] = ""  # Its name is not known before all new roots are.
            new.append(place)
    return {**known, **root_folders(new, known)}


def new_beginnings(named: Mapping[str, Path], roots: Mapping[str, Path]) -> dict[str, str]:
    """How names that begin with a named root begin in an index with these roots, for :func:`renamed`.

    Args:
        named: the named roots, by the name that the walk gives them.
        roots: the roots of the index. Each named root lies in one of them, and others may lie in a named root.
    """
    names, walked = _by_place(roots), _by_place(named)
    beginnings = {name: name_of(place, names) or name for name, place in named.items()}
    for inner, root in roots.items():
        for around in root.parents:
            if around in walked:
                beginnings[name_of(root, {around: walked[around]}) or inner] = inner
    return beginnings


def renamed(name: str, beginnings: Mapping[str, str]) -> str:
    """A name with its longest beginning that is in ``beginnings`` replaced."""
    beginning = next(beginning for beginning in _beginnings(name) if beginning in beginnings)
    return beginnings[beginning] + name[len(beginning) :]


def files_in(places: Mapping[Path, str], files: Iterable[str], known: Mapping[str, Path]) -> dict[Path, set[str]]:
    """For each place, the names of the files of an index that are there, or lie in it.

    Args:
        places: files and folders, and how the names of files in them begin. An index of an older Pellucid does not
            say where its files are: then names are compared.
        files: the names of the index's files.
        known: the roots of the index.
    """
    found: dict[Path, set[str]] = {place: set() for place in places}
    by_path = {str(place): names for place, names in found.items()}
    by_name = {name: found[place] for place, name in places.items()}
    for name in files:
        path = path_of(name, known)
        around, inside = (_beginnings(name), by_name) if path is None else (_paths_around(str(path)), by_path)
        for beginning in around:
            if beginning in inside:
                inside[beginning].add(name)
    return found


def _by_place(roots: Mapping[str, Path]) -> dict[Path, str]:
    """The name of each root, by where the root is."""
    return {place: name for name, place in roots.items()}


def _beginnings(name: str) -> Iterator[str]:
    """A name and the folders in it, longest first: "a/b/c", "a/b" and "a"."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def _paths_around(path: str) -> Iterator[str]:
    """A path and the folders around it. Objects of ``Path`` would take several times as long."""
    yield path
    while (folder := os.path.dirname(path)) != path:  # noqa: PTH120
        yield (path := folder)
