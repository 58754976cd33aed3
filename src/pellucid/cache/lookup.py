"""Which texts of a call a cache has vectors for, and how those and the computed ones become the call's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import OptionError
from pellucid.types import Float32, Int32

if TYPE_CHECKING:  # sqlite3 is only for those who want a cache.
    from pellucid.cache.store import Cache, CachedVectors


def open_cache(cache: str | os.PathLike[str] | Cache | None) -> Cache | None:
    """The cache, or the one in a file of that name; None for none.

    Raises:
        OptionError: it is none of these.
        CacheError: the file cannot be used.
    """
    if cache is None:
        return None
    from pellucid.cache.store import Cache

    if isinstance(cache, Cache):
        return cache
    if not isinstance(cache, (str, os.PathLike)):
        raise OptionError(f"cache is of type {type(cache).__name__}; it must be a path, a Cache or None.")
    return Cache(cache)


@dataclass(frozen=True, eq=False)
class LookUp:
    """The texts of a call, looked up in a cache.

    Attributes:
        new: the texts that it has no vector for, equal ones once.
        keys: theirs.
        found: what it has.
        order: for each text of the call, its row in what was found and then the new.
    """

    new: list[str]
    keys: list[bytes]
    found: CachedVectors
    order: list[int]

    def tokens(self, new: Int32) -> Int32:
        """How many tokens each text of the call has, ``int32[n]``, by those of the new ones."""
        return np.concatenate([self.found.tokens, new])[self.order]

    def vectors(self, new: Float32) -> Float32:
        """The vector of each text of the call, ``float32[n, d]``, by those of the new ones."""
        return np.concatenate([self.found.vectors, new])[self.order]


def look_up(cache: Cache, fingerprint: bytes, texts: Sequence[str], dimensions: int) -> LookUp:
    """Look texts up whose vectors have so many dimensions; ``fingerprint`` says what else the vectors depend on."""
    from pellucid.cache.store import keys_of

    keys = keys_of(fingerprint, texts)
    text_of = dict(zip(keys, texts, strict=True))  # Equal texts once.
    found = cache.get(list(text_of), dimensions)
    new = [key for key in text_of if key not in found.rows]
    rows = found.rows | {key: len(found.rows) + row for row, key in enumerate(new)}
    return LookUp([text_of[key] for key in new], new, found, [rows[key] for key in keys])
