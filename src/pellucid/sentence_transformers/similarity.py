"""How similar vectors are, as in ``sentence_transformers.util``: cosines, dot products, and negative distances.

Each function takes arrays, tensors, or lists of them. The result is an array, or a tensor if one was given.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pellucid.checks import check_choice
from pellucid.errors import InputError
from pellucid.sentence_transformers.maxsim import maxsim, maxsim_pairwise, mean_maxsim, mean_maxsim_pairwise
from pellucid.sentence_transformers.tensors import Array, as_array, like
from pellucid.vectors.blocks import MAX_NUMBERS, blocks

Function = Callable[..., Any]
_LEAST_LENGTH = 1e-12
"""A shorter vector is divided by this instead of its length, as in ``torch.nn.functional.normalize``."""


def cos_sim(a: Any, b: Any) -> Any:
    """The cosine of each vector of ``a``, ``[n, d]``, with each vector of ``b``, ``[m, d]``: ``[n, m]``."""
    rows, columns = _two_lists(a, b)
    return like(unit(rows) @ unit(columns).T, a, b)


def pytorch_cos_sim(a: Any, b: Any) -> Any:
    """The older name of :func:`cos_sim`."""
    return cos_sim(a, b)


def dot_score(a: Any, b: Any) -> Any:
    """The dot product of each vector of ``a``, ``[n, d]``, with each vector of ``b``, ``[m, d]``: ``[n, m]``."""
    rows, columns = _two_lists(a, b)
    return like(rows @ columns.T, a, b)


def euclidean_sim(a: Any, b: Any) -> Any:
    """The negative distance of each vector of ``a``, ``[n, d]``, to each vector of ``b``, ``[m, d]``: ``[n, m]``."""
    rows, columns = _two_lists(a, b)
    distances = np.empty((len(rows), len(columns)), dtype=np.result_type(rows, columns))
    wide, squares = columns.astype(np.float64), _squares(columns)  # The difference of large squares needs the digits.
    for block in blocks(len(rows), _rows_per_block(len(columns))):
        part = rows[block].astype(np.float64)
        squared = _squares(part)[:, None] - 2 * (part @ wide.T) + squares
        distances[block] = -np.sqrt(np.maximum(squared, 0))
    return like(distances, a, b)


def manhattan_sim(a: Any, b: Any) -> Any:
    """The negative sum of absolute differences, for each vector of ``a`` with each vector of ``b``: ``[n, m]``."""
    rows, columns = _two_lists(a, b)
    distances = np.empty((len(rows), len(columns)), dtype=np.result_type(rows, columns))
    for row, vector in enumerate(rows):
        for block in blocks(len(columns), _rows_per_block(columns.shape[1])):
            distances[row, block] = -np.abs(columns[block] - vector).sum(axis=1)
    return like(distances, a, b)


def pairwise_cos_sim(a: Any, b: Any) -> Any:
    """The cosine of each vector of ``a``, ``[n, d]``, with the vector of ``b`` at the same place: ``[n]``."""
    return _pairwise(a, b, lambda x, y: (unit(x) * unit(y)).sum(axis=-1))


def pairwise_dot_score(a: Any, b: Any) -> Any:
    """The dot product of each vector of ``a``, ``[n, d]``, with the vector of ``b`` at the same place: ``[n]``."""
    return _pairwise(a, b, lambda x, y: (x * y).sum(axis=-1))


def pairwise_euclidean_sim(a: Any, b: Any) -> Any:
    """The negative distance of each vector of ``a``, ``[n, d]``, to the vector of ``b`` at the same place: ``[n]``."""
    return _pairwise(a, b, lambda x, y: -np.sqrt(np.square(x - y).sum(axis=-1)))


def pairwise_manhattan_sim(a: Any, b: Any) -> Any:
    """The negative sum of absolute differences, for the vectors of ``a`` and ``b`` at the same place: ``[n]``."""
    return _pairwise(a, b, lambda x, y: -np.abs(x - y).sum(axis=-1))


def pairwise_angle_sim(x: Any, y: Any) -> Any:
    """AnglE's similarity of the vectors of ``x`` and ``y`` at the same place: ``[n]`` (Li and Li, 2023).

    A vector is read as complex numbers: its first half has the real parts, its second half the imaginary ones. The
    similarity is the sum of the real and imaginary parts of the inner product, without its sign.
    """

    def angle(a: Array, b: Array) -> Array:
        a, b = (np.pad(unit(np.atleast_2d(each)), ((0, 0), (0, each.shape[-1] % 2))) for each in (a, b))
        (a_real, a_imaginary), (b_real, b_imaginary) = np.split(a, 2, axis=1), np.split(b, 2, axis=1)
        cosines = (a * b).sum(axis=1)
        sines = (a_imaginary * b_real - a_real * b_imaginary).sum(axis=1)
        similarities: Array = np.abs(cosines + sines)
        return similarities

    return _pairwise(x, y, angle)


def unit(vectors: Array) -> Array:
    """Vectors, ``[…, d]``, scaled to unit length. A vector of zeros stays as it is."""
    return vectors / lengths(vectors)[..., None]


def lengths(vectors: Array) -> Array:
    """What to divide vectors, ``[…, d]``, by to give them unit length: their lengths, ``[…]``, but never zero.

    Raises:
        InputError: the numbers are no floats.
    """
    if vectors.dtype.kind != "f":
        raise InputError(f"the vectors have numbers of type {vectors.dtype}; cosines need floats.")
    own: Array = np.maximum(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)), vectors.dtype.type(_LEAST_LENGTH))
    return own


def _floats(values: Any, name: str) -> Array:
    """Vectors as floats. Differences and products of small integers would not fit their type."""
    array = as_array(values, name)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def check_widths(first: str, a: Array, second: str, b: Array) -> None:
    """Refuse what are no vectors, and vectors of different lengths.

    Raises:
        InputError: ``a``, called ``first``, or ``b``, called ``second``, is no ``[n, d]`` or ``[d]``, or they differ.
    """
    for name, array in ((first, a), (second, b)):
        if array.ndim not in (1, 2):
            raise InputError(f"{name} has the shape {array.shape}; it must be vectors, [n, d] or [d].")
    if a.shape[-1] != b.shape[-1]:
        raise InputError(
            f"The vectors of {first!r} have {a.shape[-1]} numbers each, those of {second!r} {b.shape[-1]}."
        )


class SimilarityFunction(enum.Enum):
    """The names of the similarity functions."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"  # noqa: PIE796  Another name of the same member.
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    MAXSIM = "maxsim"
    MEAN_MAXSIM = "meanmaxsim"

    @staticmethod
    def to_similarity_fn(similarity_function: str | SimilarityFunction) -> Function:
        """The function of this name, for all pairs of vectors.

        Raises:
            ValueError: there is no such name.
        """
        return _function(similarity_function, pairwise=False)

    @staticmethod
    def to_similarity_pairwise_fn(similarity_function: str | SimilarityFunction) -> Function:
        """The function of this name, for vectors at the same place.

        Raises:
            ValueError: there is no such name.
        """
        return _function(similarity_function, pairwise=True)

    @staticmethod
    def possible_values() -> list[str]:
        """The names."""
        return [member.value for member in SimilarityFunction]


_FUNCTIONS: dict[SimilarityFunction, tuple[Function, Function]] = {
    SimilarityFunction.COSINE: (cos_sim, pairwise_cos_sim),
    SimilarityFunction.DOT_PRODUCT: (dot_score, pairwise_dot_score),
    SimilarityFunction.EUCLIDEAN: (euclidean_sim, pairwise_euclidean_sim),
    SimilarityFunction.MANHATTAN: (manhattan_sim, pairwise_manhattan_sim),
    SimilarityFunction.MAXSIM: (maxsim, maxsim_pairwise),
    SimilarityFunction.MEAN_MAXSIM: (mean_maxsim, mean_maxsim_pairwise),
}
MULTI_VECTOR = (SimilarityFunction.MAXSIM.value, SimilarityFunction.MEAN_MAXSIM.value)
"""The names of the functions for several vectors for each text."""
DENSE = tuple(member.value for member in _FUNCTIONS if member.value not in MULTI_VECTOR)
"""The names of the functions for dense vectors."""


def _function(name: str | SimilarityFunction, *, pairwise: bool) -> Function:
    return _FUNCTIONS[SimilarityFunction(name)][pairwise]


def _two_lists(a: Any, b: Any) -> tuple[Array, Array]:
    """Both as ``[n, d]``."""
    rows, columns = (np.atleast_2d(_floats(each, name)) for each, name in ((a, "a"), (b, "b")))
    check_widths("a", rows, "b", columns)
    return rows, columns


def _pairwise(a: Any, b: Any, function: Function) -> Any:
    rows, others = _floats(a, "a"), _floats(b, "b")
    check_widths("a", rows, "b", others)
    if rows.ndim == others.ndim and len(rows) != len(others):
        raise InputError(f"a has {len(rows)} vectors and b {len(others)}; they must have as many.")
    return like(np.asarray(function(rows, others)), a, b)


def _squares(vectors: Array) -> Array:
    squares: Array = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return squares


def _rows_per_block(width: int) -> int:
    return max(1, MAX_NUMBERS // max(width, 1))


def similarity_name(value: str | SimilarityFunction, names: Sequence[str] = DENSE) -> str:
    """The name of a similarity function. Raises OptionError if it is not one of ``names``."""
    name = value.value if isinstance(value, SimilarityFunction) else value
    check_choice("similarity_fn_name", name, names)
    return str(name)
