"""Finds the texts of a call that a cache has results for, and joins those results with the newly computed ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from pellucid.errors import OptionError
from pellucid.types import Int32, Int64

if TYPE_CHECKING:  # The store imports sqlite3, which is needed only if there is a cache.
    from pellucid.cache.codecs import Codec
    from pellucid.cache.store import Cache, CachedResults

Result = TypeVar("Result")


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
class Lookup(Generic[Result]):
    """The texts of a call, after they were looked up in a cache.

    Attributes:
        missing: the texts that the cache has no result for; equal texts appear once.
        missing_keys: their keys.
        found: what the cache has for the other texts.
        rows: for each text of the call, its row in the found results followed by the results of ``missing``.
    """

    missing: list[str]
    missing_keys: list[bytes]
    found: CachedResults[Result]
    rows: list[int]

    def position(self, row: int) -> int:
        """The position in the call of the text ``missing[row]``; of equal texts, the first."""
        return self.rows.index(len(self.found.rows) + row)

    def join_counts(self, computed: Int32) -> Int32:
        """The number of tokens of each text of the call, ``int32[n]``, given those of the missing texts."""
        return np.concatenate([self.found.tokens, computed])[self.rows]

    def join_results(self, computed: Result, merge: Callable[[Iterable[tuple[Int64, Result]], int], Result]) -> Result:
        """The result of each text of the call.

        Args:
            computed: the result of the missing texts.
            merge: the ``merge`` of the finish that made it (:class:`~pellucid.layers.finish.Finish`).
        """
        found, total = len(self.found.rows), len(self.found.rows) + len(self.missing)
        parts = ((np.arange(found), self.found.results), (np.arange(found, total), computed))
        distinct: Any = merge([part for part in parts if len(part[0])], total) if total else computed
        if self.rows == list(range(total)):
            return distinct  # type: ignore[no-any-return]
        return distinct[self.rows]  # type: ignore[no-any-return]  # Results are arrays, or can be indexed like them.


def look_up(cache: Cache, fingerprint: bytes, texts: Sequence[str], codec: Codec[Result]) -> Lookup[Result]:
    """Look up the results of texts.

    Args:
        cache: where to look.
        fingerprint: stands for everything else that the results depend on.
        texts: the texts of a call.
        codec: of the kind of result. What does not fit it counts as damaged.
    """
    from pellucid.cache.store import make_keys

    keys = make_keys(fingerprint, texts)
    text_of = dict(zip(keys, texts, strict=True))  # Equal texts have equal keys, so each appears once.
    found = cache.get(list(text_of), codec)
    missing = [key for key in text_of if key not in found.rows]
    rows = found.rows | {key: len(found.rows) + row for row, key in enumerate(missing)}
    return Lookup([text_of[key] for key in missing], missing, found, [rows[key] for key in keys])
