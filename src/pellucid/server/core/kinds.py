"""The kinds of models that a server has, which their files tell: for vectors, for sparse vectors, and for scores."""

from __future__ import annotations

from typing import Literal

from pellucid.classifier import Classifier
from pellucid.embedder import Embedder
from pellucid.embedding import EmbeddingTask
from pellucid.model.spec import ModelSpec
from pellucid.reranker import Reranker
from pellucid.scoring import ScoringTask, gives_scores
from pellucid.sources.files import ModelFiles
from pellucid.sparse_embedder import SparseEmbedder, gives_sparse_vectors
from pellucid.task import Task

Kind = Literal["embedder", "sparse_embedder", "reranker", "classifier"]
TASKS: dict[Kind, type[Embedder | SparseEmbedder | Reranker | Classifier]] = {
    "embedder": Embedder,
    "sparse_embedder": SparseEmbedder,
    "reranker": Reranker,
    "classifier": Classifier,
}
_ABILITIES: dict[tuple[type[Task], ...], str] = {
    (Embedder,): "turn texts into vectors",
    (SparseEmbedder,): "turn texts into sparse vectors",
    (Reranker,): "rerank",
    (Classifier, ScoringTask): "classify",
    (Embedder, Reranker, EmbeddingTask): "explain two texts",
    (Task,): "read texts",
}
_OTHER_ROUTES: dict[tuple[Kind, type[Task]], str] = {
    ("sparse_embedder", Embedder): "For sparse vectors, send texts to /embed_sparse.",
    ("embedder", SparseEmbedder): "For dense vectors, send texts to /embed.",
}


def kind_of(files: ModelFiles, spec: ModelSpec) -> Kind:
    """The kind of a model, by its files, its stages, and how many labels it has."""
    if gives_sparse_vectors(files, spec):
        return "sparse_embedder"
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

    >>> ability(Reranker)
    'rerank'
    """
    return _ABILITIES[tasks]


def other_route(kind: Kind, *tasks: type[Task]) -> str:
    """A sentence that names the route for what a model of this kind does instead of these tasks; "" if there is none.

    >>> other_route("sparse_embedder", Embedder)
    'For sparse vectors, send texts to /embed_sparse.'
    """
    return _OTHER_ROUTES.get((kind, tasks[0]), "") if len(tasks) == 1 else ""


def in_words(kind: Kind) -> str:
    """A kind as a message calls it.

    >>> in_words("sparse_embedder")
    'sparse embedder'
    """
    return kind.replace("_", " ")
