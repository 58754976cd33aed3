"""The activation functions. Each takes a float32 array of any shape and returns one of the same shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pellucid.types import Float32

# erf(x) ≈ x P(x²) / Q(x²) for |x| ≤ 4, a rational least-squares fit of our own, reweighted towards the minimax fit. Its
# error is below 1e-9 there, and erf(4) differs from 1 by only 1.6e-8. These are the coefficients, constant term first.
_ERF_P = (
    1.1283791746064968,
    0.16947170353178326,
    0.05146810056240776,
    0.0030887068736462674,
    0.0003187538409982828,
    5.267525478058458e-07,
    -4.021702610142442e-08,
)
_ERF_Q = (
    1.0,
    0.4835238306422797,
    0.10678649493455883,
    0.013791114969841152,
    0.0010822316698074238,
    4.487401735701979e-05,
    -5.246888155096046e-07,
)


def erf(x: Float32) -> Float32:
    """The error function, accurate to one unit in the last place of float32. NumPy has no such function."""
    wide = np.clip(x.astype(np.float64), -4.0, 4.0)
    square = wide * wide
    p, q = np.full_like(square, _ERF_P[-1]), np.full_like(square, _ERF_Q[-1])
    for a, b in zip(_ERF_P[-2::-1], _ERF_Q[-2::-1], strict=True):  # Horner's rule, in place.
        p *= square
        p += a
        q *= square
        q += b
    return (wide * p / q).astype(np.float32)


def gelu(x: Float32) -> Float32:
    """``x Φ(x)``, computed exactly, with erf (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016)."""
    return np.float32(0.5) * x * (np.float32(1) + erf(x * np.float32(np.sqrt(0.5))))


def gelu_tanh(x: Float32) -> Float32:
    """The tanh approximation of GELU, for models that were trained with it."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + tanh(inner))


def relu(x: Float32) -> Float32:
    """``max(x, 0)``."""
    return np.maximum(x, np.float32(0))


def silu(x: Float32) -> Float32:
    """``x sigmoid(x)``."""
    return x * sigmoid(x)


def sigmoid(x: Float32) -> Float32:
    """``1 / (1 + exp(-x))``. Nothing overflows, and results near 0 stay as precise as those near 1."""
    above: Float32 = np.exp(np.minimum(x, 0))
    below: Float32 = np.exp(-np.abs(x))
    return above / (np.float32(1) + below)


def tanh(x: Float32) -> Float32:
    """The hyperbolic tangent."""
    y: Float32 = np.tanh(x)
    return y


def identity(x: Float32) -> Float32:
    """``x``, unchanged."""
    return x


ACTIVATIONS: dict[str, Callable[[Float32], Float32]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "identity": identity,
    "relu": relu,
    "sigmoid": sigmoid,
    "silu": silu,
    "tanh": tanh,
}
"""The activations by name. A spec names its activation by one of these keys."""

BY_TORCH_CLASS = {
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.SiLU": "silu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.linear.Identity": "identity",
}
"""Their names by PyTorch's class, which is what the configs of sentence-transformers say."""
