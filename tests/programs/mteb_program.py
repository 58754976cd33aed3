"""mteb: its harness, on a small task of similar sentences that is made here."""

from __future__ import annotations

import json
import sys

import mteb
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskSTS
from sentence_transformers import SentenceTransformer

from tests.programs.texts import TEXTS

PAIRS = [(i, j) for i in range(0, 45, 2) for j in range(1, 45, 7) if i != j]


class SameSubject(AbsTaskSTS):
    """Pairs of texts: 5 if they are about the same subject, 2 if they only end in the same way, else 0."""

    metadata = mteb.TaskMetadata(
        name="SameSubject",
        description="Whether two texts are about the same subject.",
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

    def load_data(self, **_options: object) -> None:
        """Make the pairs."""
        rows = [
            {"sentence1": TEXTS[i], "sentence2": TEXTS[j], "score": 5.0 if i // 9 == j // 9 else 2.0 * (i % 3 == j % 3)}
            for i, j in PAIRS
        ]
        self.dataset = DatasetDict({"test": Dataset.from_list(rows)})
        self.data_loaded = True


model = SentenceTransformer(sys.argv[1], device="cpu")
result = mteb.evaluate(model, SameSubject(), cache=None)
scores = result.task_results[0].scores["test"][0]
names = ("cosine_spearman", "cosine_pearson", "euclidean_spearman", "manhattan_spearman", "main_score")
print(json.dumps({name: float(scores[name]) for name in names}))
