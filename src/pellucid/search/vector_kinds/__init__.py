"""The kinds of vectors that an index may hold: a file for each."""

from __future__ import annotations

from collections.abc import Mapping

from pellucid.embedder import Embedder
from pellucid.errors import OptionError
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.search.vector_kinds.base import AnyEmbedder, VectorKind
from pellucid.search.vector_kinds.dense import Dense
from pellucid.search.vector_kinds.multi_vector import MultiVector
from pellucid.search.vector_kinds.sparse import Sparse
from pellucid.sparse_embedder import SparseEmbedder

KINDS: Mapping[str, type[VectorKind]] = {kind.task: kind for kind in (Dense, Sparse, MultiVector)}
"""The kinds, by the name of the task in an index's fingerprint."""
KINDS_BY_NAME: Mapping[str, type[VectorKind]] = {kind.name: kind for kind in KINDS.values()}
"""The kinds, by what people call them."""


def kind_of(embedder: AnyEmbedder) -> VectorKind:
    """The kind of an embedder's vectors, with the embedder.

    Raises:
        OptionError: it gives no vectors.
    """
    match embedder:
        case Embedder():
            return Dense(embedder)
        case SparseEmbedder():
            return Sparse(embedder)
        case MultiVectorEmbedder():
            return MultiVector(embedder)
    raise OptionError(
        f"an index cannot be made with a value of type {type(embedder).__name__}. Give it an Embedder, a "
        f"SparseEmbedder or a MultiVectorEmbedder."
    )
