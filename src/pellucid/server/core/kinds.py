"""The kinds of models that a server has, which their files tell: embedders, rerankers and classifiers."""

from __future__ import annotations

from typing import Literal

from pellucid.classifier import Classifier
from pellucid.embedder import Embedder
from pellucid.model.spec import ModelSpec
from pellucid.reranker import Reranker
from pellucid.scoring import ScoringTask, gives_scores
from pellucid.sources.files import ModelFiles
from pellucid.task import Task

Kind = Literal["embedder", "reranker", "classifier"]
TASKS: dict[Kind, type[Embedder | Reranker | Classifier]] = {
    "embedder": Embedder,
    "reranker": Reranker,
    "classifier": Classifier,
}
_ABILITIES: dict[tuple[type[Task], ...], str] = {
    (Embedder,): "turn texts into vectors",
    (Reranker,): "rerank",
    (Classifier, ScoringTask): "classify",
    (Embedder, Reranker): "explain two texts",
    (Task,): "read texts",
}


def kind_of(files: ModelFiles, spec: ModelSpec) -> Kind:
    """The kind of a model, by its files and by how many labels it has."""
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
