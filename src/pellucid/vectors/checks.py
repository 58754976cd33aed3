"""Arrays that are vectors: their shape, type and numbers are checked, and their rows scaled to unit length."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import InputError, plural
from pellucid.types import Float32
from pellucid.vectors.blocks import blocks

_ROWS_PER_BLOCK = 8192


def unit_vectors(name: str, vectors: npt.ArrayLike) -> Float32:
    """Check vectors and scale each to unit length: ``float32[n, d]``, a copy. A vector of zeros stays as it is.

    Args:
        name: the name of the argument, for messages.
        vectors: numbers of any float type, ``[n, d]``; an array or a list of lists.

    Raises:
        InputError: the array has another shape, its numbers are not floats, or a number is not finite.
    """
    array = _as_array(name, vectors)
    if array.ndim != 2:  # noqa: PLR2004
        raise InputError(f"{name} has the shape {array.shape}; it must be [n, d], one vector in each row.")
    unit = np.empty(array.shape, dtype=np.float32)
    for rows in blocks(len(array), _ROWS_PER_BLOCK):
        wide = array[rows].astype(np.float64)
        largest = np.abs(wide).max(axis=1, initial=0, keepdims=True)
        if not np.isfinite(largest).all():
            row = rows.start + int(np.flatnonzero(~np.isfinite(largest))[0])
            raise InputError(f"vector {row} of {name} has a number that is not finite (NaN or infinity).")
        # Dividing by the largest number first keeps the squares of very large and very small ones in range.
        wide /= np.maximum(largest, np.finfo(np.float64).tiny)
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        unit[rows] = np.divide(wide, norms, out=wide, where=norms > 0)
    return unit


def unit_rows(name: str, vectors: npt.ArrayLike) -> tuple[Float32, bool]:
    """Like :func:`unit_vectors`, but one vector ``[d]`` is allowed too. Also returns whether it was one."""
    array = _as_array(name, vectors)
    return (unit_vectors(name, array[None]), True) if array.ndim == 1 else (unit_vectors(name, array), False)


def check_same_width(first: str, a: Float32, second: str, b: Float32) -> None:
    """Refuse vectors of different lengths.

    Raises:
        InputError: ``a``, called ``first``, and ``b``, called ``second``, have different widths.
    """
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"The vectors of {first!r} have {plural(a.shape[1], 'number')} each, those of {second!r} {b.shape[1]:,}. "
            f"Were they made by different models?"
        )


def _as_array(name: str, vectors: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asarray(vectors)
    except ValueError:  # NumPy's message about lists of different lengths is hard to read.
        raise InputError(f"{name} is not an array: its vectors have different lengths.") from None
    if array.size == 0 and array.dtype.kind in "fiu":  # An empty list.
        return array.astype(np.float32)
    if array.dtype.kind in "US" or (array.dtype.kind == "O" and any(isinstance(item, str) for item in array.flat)):
        raise InputError(f"{name!r} holds texts. Embed them first: embed_documents(texts).")
    if array.dtype.kind != "f":
        raise InputError(
            f"{name} has numbers of type {array.dtype}; it must have floats. Quantized vectors cannot be compared here."
        )
    return array
