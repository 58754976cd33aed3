"""The linear layer with an activation that may follow pooling: sentence-transformers' ``Dense``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.layers.activations import ACTIVATIONS
from pellucid.reprs import short_repr
from pellucid.types import Float32


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear layer with an activation: sentence-transformers' ``Dense``.

    Attributes:
        weight: ``float32[out, in]``.
        bias: ``float32[out]``, or None.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        use_residual: True if the input is added to the result.
        residual: ``float32[out, in]``, a matrix that the input is multiplied with before it is added; None to add the
            input itself.
    """

    weight: Float32
    bias: Float32 | None
    activation: str
    use_residual: bool = False
    residual: Float32 | None = None

    __repr__ = short_repr

    def __call__(self, vectors: Float32, /) -> Float32:
        """``activation(x Wᵀ + b)``, plus ``x`` or ``x Rᵀ`` if the layer has a residual."""
        product = multiply_rows(vectors, self.weight)
        result = ACTIVATIONS[self.activation](product if self.bias is None else product + self.bias)
        if not self.use_residual:
            return result
        return result + (vectors if self.residual is None else multiply_rows(vectors, self.residual))


def multiply_rows(vectors: Float32, weight: Float32) -> Float32:
    """``x Wᵀ``, computed row by row.

    A product of many rows at once may round differently from a product of one row. A text's vector must not depend on
    the other texts, not even in its last bits.
    """
    product = np.empty((len(vectors), len(weight)), dtype=np.float32)
    for row, vector in zip(product, vectors, strict=True):
        np.matmul(weight, vector, out=row)
    return product
