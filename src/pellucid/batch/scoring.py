"""Jobs that give each text, or each pair of texts, a score or a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from pellucid.batch.options import JobOptions, Ranges
from pellucid.classifier import Classifier
from pellucid.encoder.fingerprint import Option
from pellucid.reranker import Reranker
from pellucid.scoring import Pair, ScoringTask
from pellucid.tables.arrow import Column, Table, name_column, number_column
from pellucid.types import Float32, Int32, TokenBatch

Scorer = TypeVar("Scorer", bound=ScoringTask)


class _ScoringOptions(JobOptions[Scorer]):
    """What jobs share whose model has a head. The numbers of a text are the head's, before any activation."""

    def width(self, model: Scorer) -> int:
        """How many labels the model has."""
        return len(model.head.labels)

    def tokenize(self, model: Scorer, texts: list[Any]) -> tuple[TokenBatch, Int32]:
        """Tokenize texts, or pairs, each with the prompt."""
        return model.tokenize(texts, self.prompt)

    def compute(
        self,
        model: Scorer,
        texts: list[Any],  # noqa: ARG002  They are tokenized already.
        tokens: TokenBatch,
        advance: Callable[[int], object],
    ) -> Float32:
        """The numbers that the head gives."""
        return model.logits_of_tokens(tokens, advance=advance)


@dataclass(frozen=True, repr=False)
class RerankOptions(_ScoringOptions[Reranker]):
    """What a job does that scores how well texts answer queries.

    Attributes:
        query_column: the column of queries.
        text_column: the column of the texts that may answer them.
        score_column: the column that the scores get.
        prompt: put before each query.
        on_truncation: "cut" pairs that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file.
    """

    query_column: str = "query"
    text_column: str = "text"
    score_column: str = "score"
    prompt: str = ""
    on_truncation: str = "cut"
    rows_per_file: int = 16_384
    naming_options: ClassVar[tuple[str, ...]] = ("--score-column",)

    @property
    def more_columns(self) -> Mapping[str, str]:
        """The column of queries."""
        return {self.query_column: "--query-column"}

    @property
    def added_columns(self) -> tuple[str, ...]:
        """The column of scores."""
        return (self.score_column,)

    def fingerprint_options(self, model: Reranker) -> Mapping[str, Option]:
        """What turns the model's numbers into scores."""
        return {"activation": model.activation}

    def texts_of(self, table: Table) -> list[Pair]:
        """Each row's query and text."""
        return _pairs(table, self.query_column, self.text_column)

    def columns(self, model: Reranker, results: Float32, ranges: Ranges | None) -> tuple[Column, ...]:  # noqa: ARG002
        """The scores."""
        return (number_column(model.scores_of(results)),)


@dataclass(frozen=True, repr=False)
class ClassifyOptions(_ScoringOptions[Classifier]):
    """What a job does that finds the label that fits each text, or each pair of texts.

    Attributes:
        text_column: the column of texts.
        second_column: the column with the second text of each pair; None if the texts are no pairs.
        label_column: the column that the labels get.
        probability_column: the column that their probabilities get.
        prompt: put before each text, or before the first text of each pair.
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file.
    """

    text_column: str = "text"
    second_column: str | None = None
    label_column: str = "label"
    probability_column: str = "probability"
    prompt: str = ""
    on_truncation: str = "cut"
    rows_per_file: int = 16_384
    naming_options: ClassVar[tuple[str, ...]] = ("--label-column", "--probability-column")

    @property
    def more_columns(self) -> Mapping[str, str]:
        """The column with the second text of each pair, if there are pairs."""
        return {} if self.second_column is None else {self.second_column: "--second-column"}

    @property
    def added_columns(self) -> tuple[str, ...]:
        """The columns of labels and of their probabilities."""
        return (self.label_column, self.probability_column)

    def fingerprint_options(self, model: Classifier) -> Mapping[str, Option]:  # noqa: ARG002  As the base class has it.
        """Nothing: the model's files say how its numbers become probabilities."""
        return {}

    def texts_of(self, table: Table) -> list[Any]:
        """Each row's text, or its pair of texts."""
        if self.second_column is not None:
            return _pairs(table, self.text_column, self.second_column)
        return super().texts_of(table)

    def columns(self, model: Classifier, results: Float32, ranges: Ranges | None) -> tuple[Column, ...]:  # noqa: ARG002
        """The most probable labels, and their probabilities."""
        best = results.argmax(axis=1)
        probabilities = model.probabilities_of(results)[np.arange(len(best)), best]
        return name_column(model.labels, best), number_column(probabilities)


def _pairs(table: Table, first: str, second: str) -> list[Pair]:
    return list(zip(table.column(first).to_pylist(), table.column(second).to_pylist(), strict=True))
