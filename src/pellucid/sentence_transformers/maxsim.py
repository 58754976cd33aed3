"""MaxSim between texts that have several vectors each, as in ``sentence_transformers.util``: the scores of ColBERT.

The functions take a list of arrays or tensors, ``[t, d]`` for each text; or one of the shape ``[n, t, d]``, in which
vectors of zeros are padding; or ``[t, d]`` for a single text. The result is an array, or a tensor if one was given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.engines.native import maxsim as core_maxsim
from pellucid.errors import InputError
from pellucid.sentence_transformers.arguments import check_value
from pellucid.sentence_transformers.tensors import Array, as_array, is_tensor, like
from pellucid.types import Float32, MultiVectors
from pellucid.vectors.maxsim import check_documents

_ONE_TEXT = 2
"""The number of dimensions of an array with the vectors of one text."""


def maxsim(
    a: Any,
    b: Any,
    a_mask: Any = None,
    b_mask: Any = None,
    chunk_elements: int | None = None,  # noqa: ARG001
    length_normalize: bool = False,
    device: Any = None,
) -> Any:
    """The score of each query of ``a`` with each document of ``b``: ``[n, m]``.

    It is the sum, over the query's vectors, of the largest dot product with one of the document's. A document without
    vectors scores -1e9.

    Args:
        a: the queries.
        b: the documents.
        a_mask: for each vector of the queries, whether it counts: ``[n, t]``, or a list of ``[t]``.
        b_mask: the same for the documents.
        chunk_elements: without effect, because nothing is padded.
        length_normalize: divide each score by the number of the query's vectors.
        device: only the CPU.

    Raises:
        InputError: these are no vectors, do not fit together, or have a number that is not finite.
    """
    check_value("device", None if device is None else str(device), (None, "cpu"))
    queries, documents = _texts(a, a_mask, "a"), _texts(b, b_mask, "b")
    scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
    if len(queries) and len(documents):
        whole = _joined(documents, "b")
        for row, query in zip(scores, queries, strict=True):
            row[:] = _score(query, whole, length_normalize=length_normalize)
    return like(scores, b, a)


def maxsim_pairwise(
    a: Any,
    b: Any,
    a_mask: Any = None,
    b_mask: Any = None,
    chunk_elements: int | None = None,  # noqa: ARG001
    length_normalize: bool = False,
    device: Any = None,
) -> Any:
    """The score of each query of ``a`` with the document of ``b`` at the same place: ``[n]``. See :func:`maxsim`."""
    check_value("device", None if device is None else str(device), (None, "cpu"))
    queries, documents = _texts(a, a_mask, "a"), _texts(b, b_mask, "b")
    if len(queries) != len(documents):
        raise InputError(f"a has {len(queries)} texts and b {len(documents)}; they must have as many.")
    scores = np.zeros(len(queries), dtype=np.float32)
    for place, (query, document) in enumerate(zip(queries, documents, strict=True)):
        scores[place] = _score(query, _joined([document], "b"), length_normalize=length_normalize)[0]
    return like(scores, b, a)


def mean_maxsim(
    a: Any,
    b: Any,
    a_mask: Any = None,
    b_mask: Any = None,
    chunk_elements: int | None = None,
    length_normalize: bool = True,
    device: Any = None,
) -> Any:
    """:func:`maxsim`, divided by the number of the query's vectors."""
    return maxsim(a, b, a_mask, b_mask, chunk_elements, length_normalize, device)


def mean_maxsim_pairwise(
    a: Any,
    b: Any,
    a_mask: Any = None,
    b_mask: Any = None,
    chunk_elements: int | None = None,
    length_normalize: bool = True,
    device: Any = None,
) -> Any:
    """:func:`maxsim_pairwise`, divided by the number of the query's vectors."""
    return maxsim_pairwise(a, b, a_mask, b_mask, chunk_elements, length_normalize, device)


def _score(query: Float32, documents: MultiVectors, *, length_normalize: bool) -> Float32:
    scores = core_maxsim(query, check_documents(documents, query.shape[1]))
    return scores / np.float32(max(1, len(query))) if length_normalize else scores


def _texts(values: Any, mask: Any, name: str) -> list[Float32]:
    """The vectors of each text, without those that do not count."""
    kept: list[Array] | None
    if isinstance(values, (list, tuple)):
        texts = [_vectors(each, _ONE_TEXT, name) for each in values]
        kept = None
    else:
        single = values.ndim == _ONE_TEXT
        array = _vectors(values, _ONE_TEXT if single else _ONE_TEXT + 1, name)
        texts = [array] if single else list(array)
        kept = None if single else [(text != 0).any(axis=1) for text in texts]  # Vectors of zeros are padding.
        mask = mask[None] if single and mask is not None and mask.ndim == 1 else mask
    if mask is not None:
        kept = [as_array(each, f"{name}_mask").astype(bool) for each in mask]
        if len(kept) != len(texts):
            raise InputError(f"{name}_mask has {len(kept)} rows, and {name} has {len(texts)} texts.")
        kept = [each[: len(text)] for each, text in zip(kept, texts, strict=True)]
    if kept is None:
        return texts
    if any(len(each) != len(text) for each, text in zip(kept, texts, strict=True)):
        raise InputError(f"{name}_mask must have a number for each vector of {name}.")
    return [text[each] for text, each in zip(texts, kept, strict=True)]


def _vectors(values: Any, dimensions: int, name: str) -> Float32:
    if not (isinstance(values, np.ndarray) or is_tensor(values)):
        values = np.asarray(values)
    array: Array = as_array(values, name)
    if array.ndim != dimensions:
        raise InputError(f"{name} has a text of the shape {array.shape}; it must be vectors, [t, d].")
    return np.ascontiguousarray(array, dtype=np.float32)


def _joined(texts: list[Float32], name: str) -> MultiVectors:
    if len({text.shape[1] for text in texts}) > 1:
        raise InputError(f"The vectors of {name!r} have different lengths.")
    return MultiVectors.concatenate(texts)
