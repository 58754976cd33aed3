"""The models known by name, read from ``catalog.toml``. A convenience, not a gate."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

DEFAULT_ORGANIZATION = "sentence-transformers"
"""Prepended to a name without an organisation, as sentence-transformers does."""


@dataclass(frozen=True)
class FileDigest:
    """What a file must be: ``size`` in bytes and ``sha256`` in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Wheel:
    """A pinned release on the Python package index.

    Attributes:
        requirement: name and version, as pip takes them.
        file, sha256, size: of the wheel; the size is in bytes.
        member: its part of a split archive, "" if it has none.
    """

    requirement: str
    file: str
    sha256: str
    size: int = 0
    member: str = ""


@dataclass(frozen=True)
class IndexCopy:
    """Where on the Python package index a model's bytes are.

    Either one wheel has the files in ``folder``, or the wheels' ``member`` parts, joined in order, are one zip that
    has them in ``archive_folder``.
    """

    wheels: tuple[Wheel, ...]
    folder: str | None = None
    archive_folder: str | None = None


@dataclass(frozen=True)
class CatalogEntry:
    """One model of the catalog. ``files`` is empty where no digests are known."""

    name: str
    dimensions: int
    description: str
    files: Mapping[str, FileDigest]
    index: IndexCopy | None

    @property
    def short_name(self) -> str:
        """The name without its organisation."""
        return self.name.rpartition("/")[2]


@functools.cache
def entries() -> tuple[CatalogEntry, ...]:
    """Every model of the catalog, in its order."""
    text = resources.files("pellucid").joinpath("catalog.toml").read_text(encoding="utf-8")
    return tuple(
        CatalogEntry(
            name=model["name"],
            dimensions=model["dimensions"],
            description=model["description"],
            files=MappingProxyType({path: FileDigest(**file) for path, file in model.get("files", {}).items()}),
            index=_index_copy(model["index"]) if "index" in model else None,
        )
        for model in tomllib.loads(text)["models"]
    )


def _index_copy(table: dict[str, Any]) -> IndexCopy:
    return IndexCopy(**{**table, "wheels": tuple(Wheel(**wheel) for wheel in table["wheels"])})


def full_name(name: str) -> str:
    """The Hub name of ``name``: a short name gets the default organisation.

    >>> full_name("all-MiniLM-L6-v2")
    'sentence-transformers/all-MiniLM-L6-v2'
    """
    return name if "/" in name else f"{DEFAULT_ORGANIZATION}/{name}"


def find(name: str) -> CatalogEntry | None:
    """The entry of a Hub name or short name, or None."""
    wanted = full_name(name)
    return next((entry for entry in entries() if entry.name == wanted), None)


def near_names(name: str) -> list[str]:
    """Catalog names that look like ``name``, best first: what a typing mistake may have meant."""
    by_short_name = {entry.short_name.lower(): entry.name for entry in entries()}
    close = difflib.get_close_matches(name.rpartition("/")[2].lower(), by_short_name, n=3, cutoff=0.6)
    return [by_short_name[key] for key in close]
