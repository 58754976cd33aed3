"""A linear layer with an activation: sentence-transformers' ``Dense``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.layers.activations import ACTIVATIONS
from pellucid.types import Float32


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear layer with an activation: sentence-transformers' ``Dense``.

    Attributes:
        weight: ``float32[out, in]``.
        bias: ``float32[out]``, or None.
        activation: a key of :data:`pellucid.layers.activations.ACTIVATIONS`.
        use_residual: whether the input is added to the result.
        residual: ``float32[out, in]``, through which it goes first; None to add it as it is.
    """

    weight: Float32
    bias: Float32 | None
    activation: str
    use_residual: bool = False
    residual: Float32 | None = None

    def __call__(self, vectors: Float32, /) -> Float32:
        """``activation(x Wᵀ + b)``, and with a residual ``+ x`` or ``+ x Rᵀ``."""
        linear = times(vectors, self.weight)
        result = ACTIVATIONS[self.activation](linear if self.bias is None else linear + self.bias)
        if not self.use_residual:
            return result
        return result + (vectors if self.residual is None else times(vectors, self.residual))


def times(vectors: Float32, weight: Float32) -> Float32:
    """``x Wᵀ``, row by row: the product of many rows rounds otherwise than that of one, and the bits of a text's vector
    are not to depend on the texts beside it.
    """
    product = np.empty((len(vectors), len(weight)), dtype=np.float32)
    for row, vector in zip(product, vectors, strict=True):
        np.matmul(weight, vector, out=row)
    return product
