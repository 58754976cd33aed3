"""The models that Pellucid knows by name, from ``catalog.toml``. Models outside the catalog work too."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from pellucid.reprs import short_repr

Kind = Literal["embedder", "reranker"]
DEFAULT_ORGANIZATION = "sentence-transformers"
"""The organisation of a name that has none, as in sentence-transformers."""


@dataclass(frozen=True)
class FileDigest:
    """The expected size of a file, in bytes, and its expected SHA-256, in hexadecimal."""

    size: int
    sha256: str

    __repr__ = short_repr


@dataclass(frozen=True)
class Wheel:
    """A pinned release on PyPI.

    Attributes:
        requirement: the name and version, in the form that pip takes.
        file: the wheel's file name.
        sha256: the wheel's SHA-256, in hexadecimal.
        size: the wheel's size in bytes.
        member: the file in the wheel that is one part of a split archive; "" if the archive is not split.
    """

    requirement: str
    file: str
    sha256: str
    size: int = 0
    member: str = ""

    __repr__ = short_repr


@dataclass(frozen=True)
class IndexCopy:
    """The place of a model's files on PyPI.

    There are two layouts. Either a single wheel has the files in ``folder``. Or each wheel has one part, its
    ``member``; the parts, joined in order, are a zip that has the files in ``archive_folder``.
    """

    wheels: tuple[Wheel, ...]
    folder: str | None = None
    archive_folder: str | None = None

    __repr__ = short_repr


@dataclass(frozen=True)
class CatalogEntry:
    """One model of the catalog.

    Attributes:
        name: the model's name on the Hub.
        dimensions: the length of its vectors; None if it gives none.
        description: what the model is good for, in a few words.
        files: the model's files with their digests; empty if the digests are not known. Then the model comes from the
            Hub alone, and each file is checked against the digest that the Hub gives.
        index: the copy on PyPI, or None if there is none.
        kind: what it is: an "embedder" gives vectors, a "reranker" scores pairs of texts.
    """

    name: str
    dimensions: int | None
    description: str
    files: Mapping[str, FileDigest]
    index: IndexCopy | None
    kind: Kind = "embedder"

    def __repr__(self) -> str:
        size = "" if self.dimensions is None else f", {self.dimensions:,} dimensions"
        return f"CatalogEntry({self.short_name!r}, {self.kind}{size}, {self.description!r})"

    @property
    def short_name(self) -> str:
        """The shortest name that loads it: without its organisation if that is the default one."""
        return self.name.removeprefix(f"{DEFAULT_ORGANIZATION}/")


@functools.cache
def entries() -> tuple[CatalogEntry, ...]:
    """All models of the catalog, in the order of the file."""
    text = resources.files("pellucid").joinpath("catalog.toml").read_text(encoding="utf-8")
    return tuple(
        CatalogEntry(
            name=model["name"],
            dimensions=model.get("dimensions"),
            description=model["description"],
            files=MappingProxyType({path: FileDigest(**file) for path, file in model.get("files", {}).items()}),
            index=_parse_index_copy(model["index"]) if "index" in model else None,
            kind=model.get("kind", "embedder"),
        )
        for model in tomllib.loads(text)["models"]
    )


def _parse_index_copy(table: dict[str, Any]) -> IndexCopy:
    return IndexCopy(**{**table, "wheels": tuple(Wheel(**wheel) for wheel in table["wheels"])})


def full_name(name: str) -> str:
    """The Hub name of ``name``: a short name gets the default organisation.

    >>> full_name("all-MiniLM-L6-v2")
    'sentence-transformers/all-MiniLM-L6-v2'
    """
    return name if "/" in name else f"{DEFAULT_ORGANIZATION}/{name}"


def find(name: str) -> CatalogEntry | None:
    """The entry for a Hub name or short name, or None if the catalog has none."""
    requested = full_name(name)
    return next((entry for entry in entries() if entry.name == requested), None)


def names_on_pypi() -> list[str]:
    """The names of the models that PyPI has a copy of."""
    return [entry.name for entry in entries() if entry.index is not None]


def near_names(name: str) -> list[str]:
    """The catalog names most similar to ``name``, best first, as suggestions for a misspelt name.

    There is one if only the case or the organisation differs, and otherwise there are up to three.
    """
    by_last_part = {entry.name.rpartition("/")[2].lower(): entry.name for entry in entries()}
    wanted = name.rpartition("/")[2].lower()
    if wanted in by_last_part:
        return [by_last_part[wanted]]
    return [by_last_part[match] for match in difflib.get_close_matches(wanted, by_last_part, n=3, cutoff=0.6)]
