"""Numbers in the type in which a model's file stores them. They become float32 where they are used.

A decoder's table has 150,000 rows and more, of which a text reads a few. In bfloat16 that is 300 MB, mapped from the
file; converted to float32, it would be 600 MB of memory. So neither tables nor the weights of layers are ever converted
as a whole.

NumPy has no bfloat16. Here, an array of the dtype uint16 holds bfloat16 numbers: a bfloat16 is the upper half of a
float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.reprs import short_repr
from pellucid.types import Float32, Int32

StoredNumbers = npt.NDArray[Any]
"""An array of float32, float16, bfloat16 (as uint16) or int8."""
_BFLOAT16 = np.dtype(np.uint16)
_BFLOAT16_EXPONENT = np.uint16(0x7F80)


def as_float32(numbers: StoredNumbers) -> Float32:
    """The same numbers as float32. An array that is float32 already is not copied. Integers are not scaled."""
    if numbers.dtype == _BFLOAT16:
        bits = np.left_shift(numbers, np.uint32(16), dtype=np.uint32)
        as_floats: Float32 = bits.view(np.float32)
        return as_floats
    return numbers.astype(np.float32, copy=False)


def all_finite(numbers: StoredNumbers) -> bool:
    """True if no number is NaN or infinite."""
    if numbers.dtype == _BFLOAT16:
        return bool(((numbers & _BFLOAT16_EXPONENT) != _BFLOAT16_EXPONENT).all())
    return bool(np.isfinite(numbers).all())


@dataclass(frozen=True, eq=False)
class TokenTable:
    """A vector for each token. ``table[ids]`` looks up the vectors of tokens, ``float32[n, d]``.

    Attributes:
        rows: the rows as they are stored, ``[rows, d]``. Integers are not scaled: the numbers of an int8 table go up to
            127, unless the model normalizes its vectors.
        mapping: the row of each token, ``int32[vocab_size]``; None if token i has row i. Only static models have one.
        weights: the factor of each token's row, ``float32[vocab_size]``, or None. Only static models have some.
    """

    rows: StoredNumbers
    mapping: Int32 | None = None
    weights: Float32 | None = None

    __repr__ = short_repr

    def __getitem__(self, ids: Int32) -> Float32:
        """The vectors of tokens."""
        vectors = as_float32(self.rows[ids if self.mapping is None else self.mapping[ids]])
        return vectors if self.weights is None else vectors * self.weights[ids][:, None]
