"""MaxSim, the score of late interaction (Khattab and Zaharia, "ColBERT", 2020).

Each token of a query is compared with each token of a document by a dot product. The score is the sum, over the query's
tokens, of the largest one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import InputError
from pellucid.types import Float32, MultiVectors

EMPTY_DOCUMENT = -1e9
"""The score of a document without tokens: below any real one. sentence-transformers has the same number."""

_MATRIX = 2


def maxsim(query: Float32, documents: MultiVectors) -> Float32:
    """The score of each document, ``float32[n]``. It depends on that document and the query alone, to the last bit.

    Args:
        query: ``float32[t, d]``, the vectors of the query's tokens.
        documents: the vectors of the documents' tokens.
    """
    scores = np.full(len(documents), EMPTY_DOCUMENT, dtype=np.float32)
    for number, document in enumerate(documents):
        if len(document):
            best = (document @ query.T).max(axis=0)
            scores[number] = best.sum(dtype=np.float64)
    return scores


def check_query(vectors: npt.ArrayLike, width: int | None = None) -> Float32:
    """The vectors of a query's tokens as ``float32[t, d]``.

    Args:
        vectors: what the caller gave.
        width: the length that each vector must have; None for any.

    Raises:
        InputError: they are no vectors, have another length, or have a number that is not a finite float.
    """
    return _check_vectors(vectors, "the query", width)


def check_documents(documents: Any, width: int) -> MultiVectors:
    """The vectors of documents, if they are :class:`~pellucid.types.MultiVectors` that fit the query.

    Raises:
        InputError: they are something else, have vectors of another length, or a number that is not a finite float.
    """
    if not isinstance(documents, MultiVectors):
        raise InputError(
            f"documents is of type {type(documents).__name__}; it must be texts, or what embed_documents returned."
        )
    vectors, offsets = _check_vectors(documents.vectors, "the documents", width), documents.offsets
    if (
        not isinstance(offsets, np.ndarray)
        or offsets.dtype != np.int32
        or offsets.ndim != 1
        or not len(offsets)
        or offsets[0] != 0
        or offsets[-1] != len(vectors)
        or (offsets[1:] < offsets[:-1]).any()
    ):
        raise InputError("the offsets of MultiVectors must be int32 and rise from 0 to the number of its vectors.")
    return MultiVectors(vectors, np.ascontiguousarray(offsets))


def _check_vectors(vectors: npt.ArrayLike, name: str, width: int | None) -> Float32:
    try:
        array = np.asarray(vectors)
    except ValueError:
        raise InputError(f"the vectors of {name} have different lengths.") from None
    if array.ndim != _MATRIX or array.dtype.kind != "f":
        raise InputError(f"{name} has the shape {array.shape} and the type {array.dtype}; it must be floats, [t, d].")
    if width is not None and array.shape[1] != width:
        raise InputError(f"the vectors of {name} have {array.shape[1]:,} numbers, but the others have {width:,}.")
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
        # One sum is much faster than a look at each number. It may be infinite because it is large.
        if not np.isfinite(array.sum()) and not np.isfinite(array).all():
            raise InputError(f"{name} has a number that is not finite (NaN or infinity).")
    return array
