"""Vectors in smaller number types, as sentence-transformers' ``quantize_embeddings`` makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import OptionError
from pellucid.types import Float32

OUTPUT_DTYPES = ("float32", "float16", "int8", "uint8", "binary", "ubinary")


def check_ranges(count: int, output_dtype: str) -> None:
    """Check, before any arithmetic, that ``count`` vectors are enough for this type.

    Raises:
        OptionError: int8 or uint8 for a single vector. These types need the range of each dimension.
    """
    if output_dtype in ("int8", "uint8") and count == 1:
        raise OptionError(
            f"output_dtype={output_dtype!r} needs the range of each dimension over the vectors of the call, and one "
            f"vector has no range. Embed all texts in one call, or use float32, float16 or binary.",
            "output_dtype",
        )


def to_dtype(vectors: Float32, output_dtype: str) -> npt.NDArray[Any]:
    """Convert vectors to a smaller type, as sentence-transformers' ``quantize_embeddings`` does.

    ``int8`` and ``uint8`` divide the range of each dimension, over *these* vectors, into 256 steps. ``binary`` and
    ``ubinary`` keep one bit per dimension, its sign. Eight bits make one byte, which is an int8 or a uint8.

    Args:
        vectors: ``float32[n, d]``.
        output_dtype: one of :data:`OUTPUT_DTYPES`.

    Returns:
        ``[n, d]`` of that type, or ``[n, ceil(d / 8)]`` for the binary types.
    """
    if output_dtype in ("int8", "uint8"):
        if len(vectors) == 0:
            return np.empty(vectors.shape, dtype=output_dtype)
        quantized = to_int8(vectors, vectors.min(axis=0), vectors.max(axis=0))
        return quantized if output_dtype == "int8" else to_uint8(quantized)
    if output_dtype in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if output_dtype == "ubinary" else (bits ^ np.uint8(128)).view(np.int8)  # This subtracts 128.
    return vectors.astype(output_dtype, copy=False)


def to_int8(vectors: Float32, low: Float32, high: Float32) -> npt.NDArray[np.int8]:
    """Convert vectors to int8, with 256 steps between ``low`` and ``high`` of each dimension.

    Args:
        vectors: ``float32[n, d]``. Numbers outside the range become its nearest end.
        low: ``float32[d]``, the numbers that become -128.
        high: ``float32[d]``, the numbers that become 127.

    Returns:
        ``int8[n, d]``. To get a number back from its integer q, to within half a step if it was in the range, compute
        ``low + (q + 128.5) * (high - low) / 255``.
    """
    step = (high - low) / np.float32(255)
    steps: Float32 = np.clip(np.floor((vectors - low) / np.where(step == 0, np.float32(1), step)), 0, 255)
    return (steps - 128).astype(np.int8)


def to_uint8(quantized: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """The same steps, counted from 0 instead of from -128."""
    return (quantized.astype(np.int16) + 128).astype(np.uint8)
