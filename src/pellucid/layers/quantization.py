"""Vectors in smaller types, as sentence-transformers' ``quantize_embeddings`` makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import OptionError
from pellucid.types import Float32

OUTPUT_DTYPES = ("float32", "float16", "int8", "uint8", "binary", "ubinary")


def check_ranges(count: int, output_dtype: str) -> None:
    """Refuse, before any arithmetic, a type whose ranges ``count`` vectors cannot give.

    Raises:
        OptionError: int8 or uint8 of a single vector.
    """
    if output_dtype in ("int8", "uint8") and count == 1:
        raise OptionError(
            f"output_dtype={output_dtype!r} takes each dimension's range from the vectors of the call, and one "
            f"vector has no range. Embed all texts in one call, or take float32, float16 or binary."
        )


def to_dtype(vectors: Float32, output_dtype: str) -> npt.NDArray[Any]:
    """Vectors in a smaller type, as sentence-transformers' ``quantize_embeddings`` makes them.

    ``int8`` and ``uint8`` put each dimension's range, over *these* vectors, into 256 steps; ``binary`` and
    ``ubinary`` keep one bit a dimension (its sign), eight to a byte, as int8 and as uint8.

    Args:
        vectors: ``float32[n, d]``.
        output_dtype: one of :data:`OUTPUT_DTYPES`.

    Returns:
        ``[n, d]`` of the type, or ``[n, ceil(d / 8)]`` for the binary ones.
    """
    if output_dtype in ("int8", "uint8"):
        if len(vectors) == 0:
            return np.empty(vectors.shape, dtype=output_dtype)
        steps = to_ranges(vectors, vectors.min(axis=0), vectors.max(axis=0))
        return steps if output_dtype == "int8" else (steps.astype(np.int16) + 128).astype(np.uint8)
    if output_dtype in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if output_dtype == "ubinary" else (bits ^ np.uint8(128)).view(np.int8)  # minus 128
    return vectors.astype(output_dtype, copy=False)


def to_ranges(vectors: Float32, low: Float32, high: Float32) -> npt.NDArray[np.int8]:
    """Vectors in 256 steps between the lowest and the highest of each dimension; what lies beyond is put at the end.

    Args:
        vectors: ``float32[n, d]``.
        low: ``float32[d]``: what becomes -128.
        high: ``float32[d]``: what becomes 127.

    Returns:
        ``int8[n, d]``. ``low + (q + 128.5) * (high - low) / 255`` is within half a step of what was inside.
    """
    step = (high - low) / np.float32(255)
    steps: Float32 = np.clip(np.floor((vectors - low) / np.where(step == 0, np.float32(1), step)), 0, 255)
    return (steps - 128).astype(np.int8)
