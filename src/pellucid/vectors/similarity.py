"""The cosines of vectors, and the nearest vectors by cosine.

The cosine of two vectors is their dot product divided by their lengths. It is 1 for the same direction, 0 for unrelated
directions, and -1 for opposite ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.checks import check_integer
from pellucid.types import Float32, Int64
from pellucid.vectors.best import BestOfRows
from pellucid.vectors.blocks import cosine_blocks
from pellucid.vectors.checks import check_same_width, unit_rows


def similarity(a: npt.ArrayLike, b: npt.ArrayLike) -> Float32:
    """The cosine of each vector of ``a`` with each vector of ``b``.

    Args:
        a: floats, ``[n, d]``, or one vector ``[d]``. The vectors may have any length.
        b: floats, ``[m, d]``, or one vector ``[d]``.

    Returns:
        ``float32[n, m]``, without the dimension of an argument that is one vector: two vectors give a number. The
        cosine with a vector of zeros is 0.

    Raises:
        InputError: the shapes do not fit, or a number is not a finite float.

    >>> similarity([1.0, 0.0], [[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    array([ 1.,  0., -1.], dtype=float32)
    """
    (rows, a_is_one), (columns, b_is_one) = unit_rows("a", a), unit_rows("b", b)
    check_same_width("a", rows, "b", columns)
    cosines = np.clip(rows @ columns.T, -1, 1)
    cosines = cosines[0] if a_is_one else cosines
    return cosines[..., 0] if b_is_one else cosines  # type: ignore[no-any-return]


def nearest(queries: npt.ArrayLike, vectors: npt.ArrayLike, k: int = 10) -> tuple[Int64, Float32]:
    """Find the ``k`` vectors with the highest cosine with each query. The search is exact: every vector is compared.

    Args:
        queries: floats, ``[q, d]``, or one vector ``[d]``.
        vectors: floats, ``[n, d]``, in which to search.
        k: how many to find for each query. If there are fewer vectors, all are found.

    Returns:
        The indices of the vectors, ``int64[q, k]``, and their cosines, ``float32[q, k]``, best first. Of equal cosines,
        the lower index comes first. For one query: ``[k]`` and ``[k]``.

    Raises:
        InputError: the shapes do not fit, or a number is not a finite float.
        OptionError: ``k`` is not a whole number of at least 1.

    >>> nearest([1.0, 0.0], [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], k=2)
    (array([1, 2]), array([1.        , 0.70710677], dtype=float32))
    """
    k = check_integer("k", k, 1, np.iinfo(np.int64).max, "of at least 1")
    (unit_queries, one_query), (unit, _) = unit_rows("queries", queries), unit_rows("vectors", vectors)
    check_same_width("queries", unit_queries, "vectors", unit)
    best = BestOfRows(len(unit_queries), min(k, len(unit)))
    if len(unit):
        for rows, columns, cosines in cosine_blocks(unit_queries, unit):
            best.offer(columns.start, np.clip(cosines, -1, 1), rows)
    return (best.columns[0], best.scores[0]) if one_query else (best.columns, best.scores)


def most_similar_rows(rows: Float32, vectors: Float32) -> tuple[Float32, Int64]:
    """For each unit vector, the highest cosine with others, and which of them has it.

    Args:
        rows: ``float32[n, d]``.
        vectors: ``float32[m, d]``. With none, the cosines are -1 and the indices 0.
    """
    best = np.full(len(rows), -1, dtype=np.float32)
    where = np.zeros(len(rows), dtype=np.int64)
    for block, columns, cosines in cosine_blocks(rows, vectors):
        positions = cosines.argmax(axis=1)
        highest = np.take_along_axis(cosines, positions[:, None], axis=1)[:, 0]
        better = highest > best[block]
        best[block][better], where[block][better] = highest[better], columns.start + positions[better]
    return best, where
