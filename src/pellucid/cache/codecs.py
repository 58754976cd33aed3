"""How a cache keeps results: what one text got, as bytes, and back. Each kind of result has a codec.

The bytes hold the numbers as they are, little-endian, so a result from the cache has the bits of the computed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pellucid.sparse_vectors import SparseVectors
from pellucid.types import Float32, Int32, MultiVectors

Result = TypeVar("Result")

_FLOAT, _INT = "<f4", "<i4"
_SIZE = 4
"""The bytes of a number of either type."""


class Codec(Protocol[Result]):
    """Turns the result of texts into bytes for each text, and back."""

    def encode(self, result: Result, /) -> list[bytes]:
        """The bytes of each text."""

    def fits(self, content: bytes, /) -> bool:
        """Whether :meth:`encode` can have made these bytes. A damaged file may have any."""

    def decode(self, contents: Sequence[bytes], /) -> Result:
        """The result of texts, from bytes that fit; there may be no text."""


@dataclass(frozen=True)
class VectorCodec:
    """A dense vector: its numbers.

    Attributes:
        width: how many numbers a vector has.
    """

    width: int

    def encode(self, result: Float32, /) -> list[bytes]:
        """The bytes of each of the vectors, ``float32[n, width]``."""
        return [row.tobytes() for row in np.ascontiguousarray(result, dtype=_FLOAT)]

    def fits(self, content: bytes, /) -> bool:
        """Whether the length is right."""
        return len(content) == _SIZE * self.width

    def decode(self, contents: Sequence[bytes], /) -> Float32:
        """The vectors, ``float32[n, width]``."""
        return _joined(contents, _FLOAT).astype(np.float32, copy=False).reshape(-1, self.width)


@dataclass(frozen=True)
class SparseVectorCodec:
    """A sparse vector: the dimensions that are not 0, and after them the numbers there.

    Attributes:
        dimensions: the length of a vector, zeros included.
    """

    dimensions: int

    def encode(self, result: SparseVectors, /) -> list[bytes]:
        """The bytes of each of the vectors."""
        return [
            vector.indices.astype(_INT, copy=False).tobytes() + vector.values.astype(_FLOAT, copy=False).tobytes()
            for vector in result
        ]

    def fits(self, content: bytes, /) -> bool:
        """Whether there are as many dimensions as numbers, and the dimensions are some that rise."""
        if len(content) % (2 * _SIZE):
            return False
        indices = np.frombuffer(content, dtype=_INT, count=len(content) // (2 * _SIZE))
        is_within = not len(indices) or (indices[0] >= 0 and indices[-1] < self.dimensions)
        return bool(is_within and (indices[1:] > indices[:-1]).all())

    def decode(self, contents: Sequence[bytes], /) -> SparseVectors:
        """The vectors."""
        middles = [len(content) // 2 for content in contents]
        indices = _joined((content[:middle] for content, middle in zip(contents, middles, strict=True)), _INT)
        values = _joined((content[middle:] for content, middle in zip(contents, middles, strict=True)), _FLOAT)
        return SparseVectors(
            indices.astype(np.int32, copy=False),
            values.astype(np.float32, copy=False),
            _offsets([middle // _SIZE for middle in middles]),
            self.dimensions,
        )


@dataclass(frozen=True)
class MultiVectorCodec:
    """A vector for each token: their numbers, one vector after the other. A text without vectors has no bytes.

    Attributes:
        width: how many numbers a vector has.
    """

    width: int

    def encode(self, result: MultiVectors, /) -> list[bytes]:
        """The bytes of each text."""
        return [np.ascontiguousarray(vectors, dtype=_FLOAT).tobytes() for vectors in result]

    def fits(self, content: bytes, /) -> bool:
        """Whether the bytes are whole vectors."""
        return len(content) % (_SIZE * self.width) == 0

    def decode(self, contents: Sequence[bytes], /) -> MultiVectors:
        """The vectors of the texts."""
        counts = [len(content) // (_SIZE * self.width) for content in contents]
        vectors = _joined(contents, _FLOAT).astype(np.float32, copy=False)
        return MultiVectors(vectors.reshape(-1, self.width), _offsets(counts))


def _joined(contents: Iterable[bytes], dtype: str) -> npt.NDArray[Any]:
    """The numbers of all texts, in an array that its owner may write to."""
    return np.frombuffer(bytearray().join(contents), dtype=dtype)


def _offsets(counts: Sequence[int]) -> Int32:
    return np.cumsum([0, *counts], dtype=np.int32)
