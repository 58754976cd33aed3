"""Vectors in smaller number types, as ``sentence_transformers.quantize_embeddings`` makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.checks import check_choice
from pellucid.errors import InputError, plural
from pellucid.layers.quantization import to_dtype, to_int8, to_uint8
from pellucid.sentence_transformers.arguments import logger
from pellucid.sentence_transformers.tensors import Array, as_array, is_tensor

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
_FEW = 100
"""Ranges of fewer vectors than this may be far from those of others."""


def quantize_embeddings(
    embeddings: Any, precision: str, ranges: Array | None = None, calibration_embeddings: Array | None = None
) -> Any:
    """Convert vectors to a smaller type.

    Args:
        embeddings: floats, ``[n, d]`` or ``[d]``; a list of them; or a list of matrices, ``[t, d]``.
        precision: "float32"; "int8" or "uint8", with 256 steps in the range of each dimension; "binary" or "ubinary",
            one bit for each dimension.
        ranges: ``[2, d]``, the lowest and the highest number of each dimension, for "int8" and "uint8".
        calibration_embeddings: vectors to take the ranges from; without both, they are those of ``embeddings``.

    Returns:
        An array, ``[n, d]`` or ``[n, ceil(d / 8)]``. For a list of matrices, a list of such arrays.

    Raises:
        OptionError: there is no such precision.
        InputError: the embeddings are integers already, or there is only one of them and no range.
    """
    check_choice("precision", precision, PRECISIONS)
    if isinstance(embeddings, list):
        if not embeddings:
            return []
        if (isinstance(embeddings[0], np.ndarray) or is_tensor(embeddings[0])) and embeddings[0].ndim == 2:  # noqa: PLR2004
            matrices = [as_array(matrix) for matrix in embeddings]
            if precision in ("int8", "uint8") and ranges is None and any(map(len, matrices)):
                ranges = _ranges(np.concatenate(matrices), precision, calibration_embeddings)
            return [quantize_embeddings(matrix, precision, ranges, calibration_embeddings) for matrix in matrices]
    vectors = as_array(embeddings)
    if vectors.dtype.kind != "f":
        raise InputError(f"the embeddings have numbers of type {vectors.dtype}; only floats can be quantized.")
    if precision not in ("int8", "uint8") or (vectors.ndim == 2 and not len(vectors)):  # noqa: PLR2004
        return to_dtype(vectors, precision)
    if ranges is None:
        ranges = _ranges(vectors, precision, calibration_embeddings)
    low, high = np.asarray(ranges, dtype=np.float32)
    quantized = to_int8(vectors, low, high)
    return quantized if precision == "int8" else to_uint8(quantized)


def _ranges(vectors: Array, precision: str, calibration_embeddings: Array | None) -> Array:
    if calibration_embeddings is not None:
        vectors = as_array(calibration_embeddings, "calibration_embeddings")
    elif vectors.ndim == 1 or len(vectors) == 1:
        raise InputError(
            f"{precision} needs the range of each dimension, and one vector has none. Pass ranges= or "
            f"calibration_embeddings=."
        )
    elif len(vectors) < _FEW:
        logger.warning(
            "The ranges for %s are those of %s. To fit others too, pass ranges= or calibration_embeddings=.",
            precision,
            plural(len(vectors), "vector"),
        )
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])
