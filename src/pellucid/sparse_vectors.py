"""Sparse vectors: for each text, the few numbers that are not zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from pellucid.errors import InputError, plural
from pellucid.types import Float32, Int32, Runs

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]


@dataclass(frozen=True, eq=False)
class SparseVectors:
    """Sparse vectors of several texts, laid end to end, as in the CSR format.

    Attributes:
        indices: ``int32[N]``, the dimensions that are not zero. Within a vector they rise.
        values: ``float32[N]``, the numbers there.
        offsets: ``int32[B + 1]``; vector ``i`` owns ``indices[offsets[i]:offsets[i + 1]]`` and the same values.
        dimensions: the length of a vector. For a model that weighs tokens, that is the size of its vocabulary.

    ``len(vectors)`` is the number of vectors, ``vectors[3]`` is one of them, and ``vectors[10:20]`` are ten, always as
    ``SparseVectors``.

    >>> vectors = SparseVectors.from_dense(np.array([[0, 0.5, 2], [1, 0, 0]], dtype=np.float32))
    >>> vectors.indices, vectors.values, vectors.offsets
    (array([1, 2, 0], dtype=int32), array([0.5, 2. , 1. ], dtype=float32), array([0, 2, 3], dtype=int32))
    >>> vectors.dot(vectors[1])
    array([[0.],
           [1.]], dtype=float32)
    """

    indices: Int32
    values: Float32
    offsets: Int32
    dimensions: int

    @classmethod
    def from_dense(cls, vectors: Float32) -> SparseVectors:
        """Keep the numbers that are not zero.

        Args:
            vectors: ``float32[B, dimensions]``.
        """
        places = np.flatnonzero(vectors != 0)
        dimensions = vectors.shape[1]
        rows, indices = np.divmod(places, max(1, dimensions))
        counts = np.bincount(rows, minlength=len(vectors))
        return cls(indices.astype(np.int32), vectors.ravel()[places], _offsets(counts), dimensions)

    @classmethod
    def concatenate(cls, parts: Sequence[SparseVectors]) -> SparseVectors:
        """Lay the vectors of at least one part end to end.

        Raises:
            InputError: the vectors have different lengths, or all together too many numbers.
        """
        if len({part.dimensions for part in parts}) > 1:
            raise InputError("the sparse vectors have different lengths, so they are not of the same model.")
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.indices for part in parts]),
            np.concatenate([part.values for part in parts]),
            _offsets(np.concatenate([part.lengths for part in parts])),
            parts[0].dimensions,
        )

    def __repr__(self) -> str:
        numbers = plural(len(self.values), "number")
        return f"SparseVectors({plural(len(self), 'vector')} of {self.dimensions:,} dimensions, {numbers} in all)"

    def __len__(self) -> int:
        """The number of vectors, ``B``."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int32:
        """How many numbers of each vector are not zero, ``int32[B]``."""
        return self.offsets[1:] - self.offsets[:-1]

    def __iter__(self) -> Iterator[SparseVectors]:
        """Each vector, as ``SparseVectors`` of one."""
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, key: int) -> SparseVectors: ...
    @overload
    def __getitem__(self, key: slice | npt.ArrayLike) -> SparseVectors: ...
    def __getitem__(self, key: Any) -> SparseVectors:
        """Choose vectors: by a position, a slice, positions, or booleans.

        Raises:
            IndexError: there is no such vector.
        """
        chosen = np.atleast_1d(np.arange(len(self))[key])
        if not len(chosen):
            return SparseVectors(self.indices[:0], self.values[:0], np.zeros(1, dtype=np.int32), self.dimensions)
        if (np.diff(chosen) == 1).all():
            offsets = self.offsets[chosen[0] : chosen[-1] + 2]
            part = slice(offsets[0], offsets[-1])
            return SparseVectors(self.indices[part], self.values[part], offsets - offsets[0], self.dimensions)
        lengths = self.lengths[chosen]
        offsets = _offsets(lengths)
        runs = Runs(self.offsets[chosen], lengths)
        return SparseVectors(runs.gather(self.indices), runs.gather(self.values), offsets, self.dimensions)

    def to_dense(self) -> Float32:
        """All numbers, ``float32[B, dimensions]``. For a vocabulary of 30,000, a thousand vectors take 120 MB."""
        dense = np.zeros((len(self), self.dimensions), dtype=np.float32)
        dense[self._rows(), self.indices] = self.values
        return dense

    def to_scipy(self) -> csr_array:
        """The same as a ``scipy.sparse.csr_array``, ``[B, dimensions]``, which shares the memory.

        Raises:
            ImportError: SciPy is not installed.
        """
        from scipy.sparse import csr_array  # It is never required.

        return csr_array((self.values, self.indices, self.offsets), shape=(len(self), self.dimensions))

    def dot(self, others: SparseVectors) -> Float32:
        """The dot product of each of these vectors with each of ``others``, ``float32[len(self), len(others)]``.

        Raises:
            InputError: the vectors have different lengths.
        """
        if self.dimensions != others.dimensions:
            raise InputError(
                f"the vectors have {self.dimensions:,} and {others.dimensions:,} dimensions, so they are not of the "
                f"same model."
            )
        products = np.zeros((len(self), len(others)), dtype=np.float32)
        filled = np.flatnonzero(self.lengths)
        other = np.zeros(self.dimensions, dtype=np.float32)
        for column, vector in enumerate(others):
            other[vector.indices] = vector.values
            products[filled, column] = np.add.reduceat(self.values * other[self.indices], self.offsets[filled])
            other[vector.indices] = 0
        return products

    def largest(self, count: int) -> SparseVectors:
        """Keep only the ``count`` largest numbers of each vector. Of equal numbers, the first ones are kept."""
        if not len(self.values) or self.lengths.max() <= count:
            return self
        rows = self._rows()
        order = np.lexsort((-self.values, rows))  # A stable sort: of equal numbers, the first one comes first.
        ranks = np.arange(len(order)) - np.repeat(self.offsets[:-1], self.lengths)
        kept = np.sort(order[ranks < count])
        counts = np.bincount(rows[kept], minlength=len(self))
        return SparseVectors(self.indices[kept], self.values[kept], _offsets(counts), self.dimensions)

    def _rows(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), self.lengths)


def _offsets(counts: npt.NDArray[Any]) -> Int32:
    offsets = np.cumsum(np.concatenate([[0], counts]), dtype=np.int64)
    if offsets[-1] > np.iinfo(np.int32).max:
        raise InputError(f"{offsets[-1]:,} numbers are too many for one call. Embed fewer texts at a time.")
    return offsets.astype(np.int32)
