"""Which label fits a text, or a pair of texts: sentiment, topics, whether one text follows from another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from pellucid.encoder.encoder import Dtype, Encoder, EngineName
from pellucid.reprs import engine_and_dtype, short_text
from pellucid.scoring import ScoringTask, check_pairs
from pellucid.task import Task
from pellucid.text.checks import as_list, check_texts
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32


class Classifier(ScoringTask):
    """A model that gives each text, or each pair of texts, a probability for each label.

    Several threads may share one.

    Args:
        model_name: a Hub name, a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several tasks share.
            ``Encoder`` documents the options that are not listed here.
        on_truncation: what to do with texts longer than ``max_tokens``; see :class:`~pellucid.reranker.Reranker`.

    Raises:
        OptionError: an option's value is not supported.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
    """

    task_name = "classify"
    other_names: ClassVar[dict[str, str]] = Task.other_names | {
        "predict": "probabilities(texts), or classify(texts)",
        "id2label": "labels",
        "config": "spec",
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
        on_truncation: OnTruncation = "warn",
    ) -> None:
        arithmetic = {"dtype": dtype, "engine": engine, "device": device, "threads": threads, "max_tokens": max_tokens}
        hub = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only, "token": token}
        super().__init__(model_name, arithmetic | hub, on_truncation)

    def __repr__(self) -> str:
        name = short_text(self.model_name, 60)
        return f"Classifier({name}, {len(self.labels)} labels, {engine_and_dtype(self.engine)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels."""
        return self.head.labels

    def logits(
        self, texts: Iterable[str] | Iterable[Sequence[str]], *, prompt: str | None = None, show_progress: bool = False
    ) -> Float32:
        """The model's numbers before any activation, ``float32[n, labels]``.

        The arguments and errors are those of :meth:`probabilities`.
        """
        return self._logits(_texts_or_pairs(texts), self._prompt(None, prompt), show_progress=show_progress)

    def probabilities(
        self,
        texts: Iterable[str] | Iterable[Sequence[str]],
        *,
        prompt: str | None = None,
        show_progress: bool = False,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Float32:
        """The probability of each label, ``float32[n, labels]``.

        The labels of a text add up to 1 (a softmax), unless the model's files say that several labels may be right
        (``problem_type`` "multi_label_classification") or there is one label only; then each has a sigmoid of its own.

        Args:
            texts: texts, or pairs of texts.
            prompt: put this before each text, or before the first text of each pair.
            show_progress: draw a progress bar, on a terminal or in a notebook.
            advance: called after each part of the work with its number of texts.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            TruncationError: a text is too long for ``on_truncation="error"``. Nothing was computed.
        """
        chosen = self._prompt(None, prompt)
        logits = self._logits(_texts_or_pairs(texts), chosen, show_progress=show_progress, advance=advance)
        return self.probabilities_of(logits)

    def classify(
        self, texts: Iterable[str] | Iterable[Sequence[str]], *, prompt: str | None = None, show_progress: bool = False
    ) -> list[str]:
        """The most probable label of each text, or of each pair. Options and errors as of :meth:`probabilities`."""
        best = np.argmax(self.logits(texts, prompt=prompt, show_progress=show_progress), axis=1)
        return [self.labels[number] for number in best.tolist()]


def _texts_or_pairs(texts: Iterable[Any]) -> list[Any]:
    given: list[Any] = as_list(texts, hint=" For one text, give a list with one text.")
    if given and not isinstance(given[0], str):
        return check_pairs(given)
    check_texts(given)
    return given
