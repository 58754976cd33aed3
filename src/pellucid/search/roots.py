"""The files and folders that an index was made of, and what naming some of them again, or others, changes.

Each has a name, with which the names of its files begin. It keeps that name, so its files keep theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pellucid.files.walk import name_of, path_of, root_folders


def relocated(known: Mapping[str, Path], named: Sequence[Path]) -> dict[str, Path]:
    """The known roots, where those that were moved are now.

    A root was moved if nothing is where it was, and a root of the same file name is named that is not known yet.
    """
    names = _by_place(known)
    new = {root.name: root for root in map(Path.resolve, reversed(named)) if name_of(root, names) is None}
    roots = dict(known)
    for name, place in known.items():
        if place.name in new and not os.path.lexists(place):
            roots[name] = new.pop(place.name)
    return roots


def place_of(root: Path) -> dict[str, Path]:
    """Where a root is, or was, by its file name. It need not exist, and may be a link in a circle."""
    place = Path(os.path.realpath(root))
    return {place.name: place}


def joined(known: Mapping[str, Path], named: Sequence[Path]) -> dict[str, Path]:
    """The known roots, and the named ones that lie in none of them, with names of their own."""
    names = _by_place(known)
    new = []
    for root in sorted(map(Path.resolve, named), key=lambda root: len(root.parts)):
        if name_of(root, names) is None:
            names[root] = ""  # Its name is not known before all new roots are.
            new.append(root)
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


def _by_place(roots: Mapping[str, Path]) -> dict[Path, str]:
    """The name of each root, by where the root is."""
    return {place: name for name, place in roots.items()}


def renamed(name: str, beginnings: Mapping[str, str]) -> str:
    """A name with its longest beginning that is in ``beginnings`` replaced."""
    beginning = name
    while beginning not in beginnings:
        beginning = beginning.rpartition("/")[0]
    return beginnings[beginning] + name[len(beginning) :]


def names_under(names: Iterable[str], known: Mapping[str, Path], named: Mapping[str, Path]) -> set[str]:
    """Which of an index's files are, or lie in, one of the named roots.

    Args:
        names: the names of the files.
        known: the roots of the index. An index of an older Pellucid has none: then names are compared.
        named: the named roots, by the name that the walk gives them.
    """
    folders = {str(root) for root in named.values()}
    found = set()
    for name in names:
        path = path_of(name, known)
        if path is None:
            is_under = path_of(name, named) is not None
        else:
            place = str(path)
            while place not in folders and os.path.dirname(place) != place:  # noqa: PTH120  Paths are slow.
                place = os.path.dirname(place)  # noqa: PTH120
            is_under = place in folders
        if is_under:
            found.add(name)
    return found
