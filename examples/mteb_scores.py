"""mteb's scores of a model, in float32, int16 and int8: ``pip install . mteb``.

Without arguments, it evaluates a small task that is made here, so nothing is downloaded but the model. With arguments,
it evaluates the tasks of mteb that they name, such as ``STSBenchmark NFCorpus``, whose data mteb downloads.
"""

from __future__ import annotations

import sys
from typing import Any

import mteb
import numpy as np
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTask, AbsTaskSTS
from mteb.models import ModelMeta
from mteb.types import PromptType

from pellucid import Embedder, similarity

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DTYPES = ("float32", "int16", "int8")
SUBJECTS = [
    ["The lease of the flat ends in June.", "When do I have to move out?", "Rent is due on the first of the month."],
    ["The cat has to see the vet.", "My dog barks at the postman.", "A rabbit needs fresh hay every day."],
    ["Backups run every night at two.", "How do I reset my password?", "The server restarts after an update."],
    ["Knead the dough for ten minutes.", "Let the soup simmer with a bay leaf.", "Is the cake done yet?"],
]


class PellucidEncoder:
    """An Embedder, as mteb's ``EncoderProtocol`` wants it. ``options`` are those of Embedder."""

    def __init__(
        self, model_name: str, revision: str | None = None, *, device: str | None = None, **options: Any
    ) -> None:
        self.embedder = Embedder(model_name, revision=revision, device=device or "cpu", **options)
        self.query_prompt = "query" if "query" in self.embedder.spec.prompts else None
        self.mteb_model_meta = ModelMeta.create_empty({"name": self.embedder.spec.name, "revision": revision})

    def encode(self, inputs: Any, *, prompt_type: PromptType | None = None, **_about_the_task: Any) -> Any:
        """Embed batches of texts. mteb also says of which task they are. That is ignored, unless they are queries."""
        texts = [text for batch in inputs for text in batch["text"]]
        is_query = prompt_type == PromptType.query
        return self.embedder.embed_documents(texts, prompt_name=self.query_prompt if is_query else None)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The cosine of each vector with each other vector."""
        return similarity(np.atleast_2d(embeddings1), np.atleast_2d(embeddings2))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The cosine of each pair of vectors."""
        first, second = (rows / np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (embeddings1, embeddings2))
        return (first * second).sum(axis=-1)


class SameSubject(AbsTaskSTS):
    """Pairs of sentences: 5 if they are about the same subject, else 0."""

    metadata = mteb.TaskMetadata(
        name="SameSubject",
        description="Are two sentences about the same subject?",
        dataset={"path": "local/same-subject", "revision": "1"},
        type="STS",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="cosine_spearman",
        date=("2026-01-01", "2026-01-02"),
        domains=[],
        task_subtypes=[],
        license="mit",
        annotations_creators="derived",
        dialect=[],
        sample_creation="created",
        bibtex_citation="",
    )
    min_score = 0
    max_score = 5

    def load_data(self, **_options: Any) -> None:
        """Make the pairs."""
        sentences = [(number, text) for number, texts in enumerate(SUBJECTS) for text in texts]
        pairs = [(one, other) for index, one in enumerate(sentences) for other in sentences[:index]]
        rows = [
            {"sentence1": first, "sentence2": second, "score": 5.0 * (subject == other_subject)}
            for (subject, first), (other_subject, second) in pairs
        ]
        self.dataset = DatasetDict({"test": Dataset.from_list(rows)})
        self.data_loaded = True


def main_scores(model: Any, tasks: list[AbsTask]) -> dict[str, float]:
    """The main score of each task, by its name."""
    results = mteb.evaluate(model, tasks, cache=None, show_progress_bar=False).task_results
    return {result.task_name: float(result.get_score()) for result in results}


def main(names: list[str]) -> dict[str, dict[str, float]]:
    """The scores for each dtype, by task."""
    tasks = [mteb.get_task(name) for name in names] or [SameSubject()]
    return {dtype: main_scores(PellucidEncoder(MODEL, dtype=dtype), tasks) for dtype in DTYPES}


if __name__ == "__main__":
    for dtype, scores in main(sys.argv[1:]).items():
        for task, score in scores.items():
            print(f"{dtype:8}  {score:.4f}  {task}")
