"""The kinds of models that a server has, which their files tell: for vectors of several kinds, and for scores."""

from __future__ import annotations

from typing import Literal

from pellucid.classifier import Classifier
from pellucid.embedder import Embedder
from pellucid.embedding import EmbeddingTask
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import ModelSpec
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.reranker import Reranker
from pellucid.scoring import ScoringTask, gives_scores
from pellucid.server.settings import ServedTask
from pellucid.sources.files import ModelFiles
from pellucid.sparse_embedder import SparseEmbedder, gives_sparse_vectors
from pellucid.task import Task

Kind = Literal["embedder", "sparse_embedder", "multi_vector_embedder", "reranker", "classifier"]
TASKS: dict[Kind, type[Embedder | SparseEmbedder | MultiVectorEmbedder | Reranker | Classifier]] = {
    "embedder": Embedder,
    "sparse_embedder": SparseEmbedder,
    "multi_vector_embedder": MultiVectorEmbedder,
    "reranker": Reranker,
    "classifier": Classifier,
}
ASKED_KINDS: dict[ServedTask, Kind] = {
    "dense": "embedder",
    "sparse": "sparse_embedder",
    "multi-vector": "multi_vector_embedder",
}
"""The kind of a model that is to give these vectors, whatever its files say."""
_ABILITIES: dict[tuple[type[Task], ...], str] = {
    (Embedder,): "turn texts into vectors",
    (SparseEmbedder,): "turn texts into sparse vectors",
    (MultiVectorEmbedder,): "turn each token into a vector",
    (MultiVectorEmbedder, Embedder): "turn each token into a vector",
    (Reranker, MultiVectorEmbedder): "rerank",
    (Classifier, ScoringTask): "classify",
    (Embedder, Reranker, EmbeddingTask): "explain two texts",
    (Task,): "read texts",
}
_ROUTES: dict[Kind, str] = {
    "embedder": "For dense vectors, send texts to /embed.",
    "sparse_embedder": "For sparse vectors, send texts to /embed_sparse.",
    "multi_vector_embedder": "For a vector of each token, send texts to /embed_all.",
}
_WORDS: dict[Kind, str] = {"sparse_embedder": "sparse embedder", "multi_vector_embedder": "multi-vector embedder"}


def kind_of(files: ModelFiles, spec: ModelSpec) -> Kind:
    """The kind of a model, by its files, its stages, and how many labels it has."""
    if gives_sparse_vectors(files, spec):
        return "sparse_embedder"
    pools = bool(spec.stages) and isinstance(spec.stages[0], Pooling)
    if spec.late_interaction is not None and not pools:  # BGE-M3 does both.
        return "multi_vector_embedder"
    if spec.head is None or not gives_scores(files, spec):
        return "embedder"
    return "reranker" if len(spec.head.labels) == 1 else "classifier"


def can(kind: Kind, *tasks: type[Task]) -> bool:
    """True if models of this kind do one of the tasks.

    >>> can("reranker", ScoringTask), can("embedder", ScoringTask)
    (True, False)
    """
    return issubclass(TASKS[kind], tasks)


def ability(*tasks: type[Task]) -> str:
    """What models that do one of these tasks can do, for a message.

    >>> ability(Classifier, ScoringTask)
    'classify'
    """
    return _ABILITIES[tasks]


def other_route(kind: Kind, *tasks: type[Task]) -> str:
    """A sentence that names the route for the vectors of this kind, if vectors of other kinds are asked for; else "".

    >>> other_route("sparse_embedder", Embedder)
    'For sparse vectors, send texts to /embed_sparse.'
    >>> other_route("sparse_embedder", Reranker)
    ''
    """
    wants_vectors = all(issubclass(task, EmbeddingTask) for task in tasks)
    return _ROUTES.get(kind, "") if wants_vectors and not can(kind, *tasks) else ""


def in_words(kind: Kind) -> str:
    """A kind as a message calls it.

    >>> in_words("multi_vector_embedder")
    'multi-vector embedder'
    """
    return _WORDS.get(kind, kind)
