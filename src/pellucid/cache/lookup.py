"""Finds the texts of a call that a cache has vectors for, and joins those vectors with the newly computed ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import OptionError
from pellucid.types import Float32, Int32

if TYPE_CHECKING:  # The store imports sqlite3, which is needed only if there is a cache.
    from pellucid.cache.store import Cache, CachedVectors


def open_cache(cache: str | os.PathLike[str] | Cache | None) -> Cache | None:
    """Open the cache in a file. A Cache is returned as it is, and None as None.

    Raises:
        OptionError: ``cache`` is not a path, a Cache or None.
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
class Lookup:
    """The texts of a call, after they were looked up in a cache.

    Attributes:
        missing: the texts that the cache has no vector for; equal texts appear once.
        missing_keys: their keys.
        found: what the cache has for the other texts.
        rows: for each text of the call, its row in the found vectors followed by the vectors of ``missing``.
    """

    missing: list[str]
    missing_keys: list[bytes]
    found: CachedVectors
    rows: list[int]

    def position(self, row: int) -> int:
        """The position in the call of the text ``missing[row]``; of equal texts, the first."""
        return self.rows.index(len(self.found.rows) + row)

    def join_counts(self, computed: Int32) -> Int32:
        """The number of tokens of each text of the call, ``int32[n]``, given those of the missing texts."""
        return np.concatenate([self.found.tokens, computed])[self.rows]

    def join_vectors(self, computed: Float32) -> Float32:
        """The vector of each text of the call, ``float32[n, d]``, given those of the missing texts."""
        return np.concatenate([self.found.vectors, computed])[self.rows]


def look_up(cache: Cache, fingerprint: bytes, texts: Sequence[str], dimensions: int) -> Lookup:
    """Look up the vectors of texts.

    Args:
        cache: where to look.
        fingerprint: stands for everything else that the vectors depend on.
        texts: the texts of a call.
        dimensions: the length of a vector. Vectors of another length count as damaged.
    """
    from pellucid.cache.store import make_keys

    keys = make_keys(fingerprint, texts)
    text_of = dict(zip(keys, texts, strict=True))  # Equal texts have equal keys, so each appears once.
    found = cache.get(list(text_of), dimensions)
    missing = [key for key in text_of if key not in found.rows]
    rows = found.rows | {key: len(found.rows) + row for row, key in enumerate(missing)}
    return Lookup([text_of[key] for key in missing], missing, found, [rows[key] for key in keys])
