"""How well documents answer a query: a cross-encoder reads both together and gives a score."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pellucid.checks import check_integer
from pellucid.encoder.encoder import Dtype, Encoder, EngineName
from pellucid.errors import TextTypeError, UnsupportedModelError
from pellucid.reprs import engine_and_dtype, short_text
from pellucid.scoring import ScoringTask, check_pairs
from pellucid.task import Task
from pellucid.text.checks import as_list, check_texts, check_utf8
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32, Ranked

if TYPE_CHECKING:
    from pellucid.explain.score import ExplainedScore


class Reranker(ScoringTask):
    """A cross-encoder that scores pairs of texts, such as a query and a document. Several threads may share one.

    A score depends on its pair alone, to the last bit. It is not a cosine; its range is the model's own.

    Args:
        model_name: a Hub name, a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several tasks share.
            ``Encoder`` documents the options that are not listed here.
        activation: what turns the model's number into the score: "sigmoid" gives scores from 0 to 1, "identity" leaves
            it as it is. None for what the model's files say.
        on_truncation: what to do with pairs longer than ``max_tokens``: cut them, the longer text first, and warn once
            per call (``"warn"``); raise before any arithmetic (``"error"``); or cut them silently (``"cut"``).

    Raises:
        OptionError: an option's value is not supported.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
        UnsupportedModelError: the model gives vectors, or a number for each of several labels.
    """

    task_name = "rerank"
    other_names: ClassVar[dict[str, str]] = Task.other_names | {
        name: ours
        for ours, names in (
            ("score_pairs(pairs), or score(query, documents)", "predict compute_score"),
            ("rank(query, documents)", "rerank compress_documents"),
            ("score(query, documents)", "similarity"),
        )
        for name in names.split()
    }

    def __init__(
        self,
        model_name: str | os.PathLike[str] | Encoder,
        *,
        dtype: Dtype = "float32",
        engine: EngineName = "auto",
        device: str = "cpu",
        threads: int | None = None,
        revision: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        max_tokens: int | None = None,
        activation: str | None = None,
        on_truncation: OnTruncation = "warn",
    ) -> None:
        arithmetic = {"dtype": dtype, "engine": engine, "device": device, "threads": threads, "max_tokens": max_tokens}
        hub = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only, "token": token}
        super().__init__(model_name, arithmetic | hub, on_truncation, activation)
        _ = self.activation  # Raises if it is not supported.
        if self.tokenizer.chat is not None:
            self.tokenizer.chat.check_pairs()
        if len(self.head.labels) != 1:
            raise UnsupportedModelError(
                f"{self.spec.name} has {len(self.head.labels)} labels, so it gives no single score. Use Classifier, or "
                "pellucid classify."
            )

    def _arguments(self) -> dict[str, Any]:
        return super()._arguments() | {"activation": self.activation}

    def __repr__(self) -> str:
        name = short_text(self.model_name, 60)
        return f"Reranker({name}, activation={self.activation!r}, {engine_and_dtype(self.engine)})"

    def score(
        self,
        query: str,
        documents: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        show_progress: bool = False,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Float32:
        """Score documents for a query: ``float32[n]``, in the documents' order.

        Args:
            query: the query.
            documents: the documents.
            prompt_name: put the model's prompt of this name before the query. If the model has a chat template, prompts
                are its instructions, and go where the template puts them.
            prompt: put this before the query; "" for no prompt. If you give neither, the model's default is used.
            show_progress: draw a progress bar, on a terminal or in a notebook.
            advance: called after each part of the work with its number of documents.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            TruncationError: a pair is too long for ``on_truncation="error"``. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        _check_text(query, "the query")
        texts = as_list(documents, "documents", hint=" For one document, give a list with one text.")
        check_texts(texts)
        chosen = self._prompt(prompt_name, prompt)
        pairs = [(query, text) for text in texts]
        return self.scores_of(self._logits(pairs, chosen, show_progress=show_progress, advance=advance))

    def score_pairs(
        self,
        pairs: Iterable[Sequence[str]],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        show_progress: bool = False,
    ) -> Float32:
        """Score pairs of texts: ``float32[n]``, in their order.

        ``pairs`` has two texts each, such as ``(query, document)``. Other options and errors are those of
        :meth:`score`.
        """
        checked, chosen = check_pairs(pairs), self._prompt(prompt_name, prompt)
        return self.scores_of(self._logits(checked, chosen, show_progress=show_progress))

    def scores_of(self, logits: Float32) -> Float32:
        """Turn the model's numbers, ``float32[n, 1]``, into scores: ``float32[n]``."""
        return self._scores(logits).reshape(-1)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        show_progress: bool = False,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> list[Ranked]:
        """Sort documents by their score for a query, best first. Equal scores keep the documents' order.

        ``top_k`` is how many to return; None for all. Other options and errors are those of :meth:`score`.
        """
        if top_k is not None:
            top_k = check_integer("top_k", top_k, 1, sys.maxsize, "of at least 1, or None for all")
        scores = self.score(
            query, documents, prompt_name=prompt_name, prompt=prompt, show_progress=show_progress, advance=advance
        )
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [Ranked(index, score) for index, score in zip(order.tolist(), scores[order].tolist(), strict=True)]

    def explain(
        self, query: str, document: str, *, prompt_name: str | None = None, prompt: str | None = None
    ) -> ExplainedScore:
        """Show why a document has its score for a query: what changes without each token, word and sentence.

        Each change is exact: the logit of the pair, minus the logit of the pair without that part. Changes do not add
        up to the score. The prompt is chosen as in :meth:`score`, whose score is the same to the last bit. A pair that
        is too long is cut, whatever ``on_truncation`` is, and the result says so.

        The model reads the pair about once for each of its tokens: for 200 tokens, expect the time of 200 documents.

        Raises:
            TextTypeError, TextError: a text cannot be used.
            OptionError: the model has no such prompt.
        """
        from pellucid.explain.score import explain_score

        _check_text(query, "the query")
        _check_text(document, "the document")
        return explain_score(self.encoder, query, document, self._prompt(prompt_name, prompt), self.activation)


def _check_text(text: object, name: str) -> None:
    if not isinstance(text, str):
        raise TextTypeError(f"{name} is of type {type(text).__name__}; it must be a str.")
    check_utf8(text, name)
