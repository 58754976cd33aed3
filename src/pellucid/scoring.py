"""What the tasks share whose model has a head: one or more numbers for each text, or for each pair of texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from pellucid.checks import check_choice
from pellucid.encoder.encoder import Encoder
from pellucid.encoder.prompts import choose_prompt
from pellucid.errors import OptionError, TextTypeError, UnsupportedModelError
from pellucid.layers.activations import ACTIVATIONS, BY_TORCH_CLASS
from pellucid.layers.finish import Pool
from pellucid.model.spec import HeadSpec
from pellucid.task import Call, Task
from pellucid.text.checks import as_list, check_texts, check_utf8
from pellucid.text.pairs import join_pairs
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32, Int32, TokenBatch

Pair = tuple[str, str]
SCORE_ACTIVATIONS = tuple(sorted(set(BY_TORCH_CLASS.values())))


class ScoringTask(Task):
    """The base class of tasks whose model has a head.

    Attributes:
        activation: what turns logits into scores.
    """

    model_kind = "reranker"

    def __init__(
        self,
        model: str | os.PathLike[str] | Encoder,
        options: Mapping[str, Any],
        on_truncation: OnTruncation,
        activation: str | None,
    ) -> None:
        super().__init__(model, options, None, on_truncation)
        if activation is not None:
            check_choice("activation", activation, SCORE_ACTIVATIONS)
        self._pool = Pool(self.head.pooling, self.encoder.head)
        self._activation = activation or self.head.activation
        specials = self.tokenizer.pair_template.specials
        if self.max_tokens < specials + 2:
            raise OptionError(
                f"max_tokens={self.max_tokens} leaves no room for two texts besides {specials} special tokens."
            )

    @property
    def head(self) -> HeadSpec:
        """What the model's files say about its head."""
        if self.spec.head is None:
            raise UnsupportedModelError(f"{self.spec.name} has no head that scores or classifies. Use Embedder.")
        return self.spec.head

    @property
    def activation(self) -> str:
        """What turns logits into scores: "sigmoid", "identity", …."""
        return self._activation

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[Any, ...]]:
        """Pickle the arguments. Unpickling creates the task again, and loads its model."""
        return _create, (type(self), self.encoder, self.on_truncation, self._activation)

    def _logits(self, texts: list[str] | list[Pair], prompt: str, *, show_progress: bool = False) -> Float32:
        """The numbers that the head gives, ``float32[n, labels]``."""
        call = Call(prompt, self._pool, len(self.head.labels))
        return self._run(texts, call, show_progress=show_progress)

    def _scores(self, logits: Float32) -> Float32:
        return ACTIVATIONS[self._activation](logits)

    def _prompt(self, prompt_name: str | None, prompt: str | None) -> str:
        default = self.spec.default_prompt_name
        return choose_prompt(self.spec, () if default is None else (default,), prompt_name, prompt)

    def _check(self, texts: list[Any], first: int) -> None:
        if not _are_pairs(texts):
            check_texts(texts, first=first)

    def _tokenize_now(self, texts: list[Any], prompt: str, first: int) -> tuple[TokenBatch, Int32]:
        if not _are_pairs(texts):
            return super()._tokenize_now(texts, prompt, first)
        numbers: dict[str, int] = {}  # Each different text is tokenized once.
        for a, b in cast("list[Pair]", texts):
            numbers.setdefault(prompt + a, len(numbers))
            numbers.setdefault(b, len(numbers))
        plain = self.tokenizer.tokenize_plain(list(numbers))
        return join_pairs(
            [plain[numbers[prompt + a]] for a, _ in texts],
            [plain[numbers[b]] for _, b in texts],
            self.tokenizer.pair_template,
            self.max_tokens,
            keep_end=self.spec.tokenizer.truncation_side == "left",
            has_segments=self.spec.tokenizer.has_segments,
        )


def check_pairs(pairs: Iterable[Any]) -> list[Pair]:
    """Pairs of texts as a list of tuples.

    Raises:
        TextTypeError: an entry is not a pair of texts; its position is given.
        TextError: a text cannot be written in UTF-8.
    """
    checked: list[Pair] = []
    given: list[Any] = as_list(pairs)
    for position, pair in enumerate(given):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:  # noqa: PLR2004
            raise TextTypeError(f"pair {position} is not a pair: each must be two texts, such as (query, document).")
        for which, text in zip(("first", "second"), pair, strict=True):
            if not isinstance(text, str):
                raise TextTypeError(
                    f"the {which} text of pair {position} is of type {type(text).__name__}; it must be a str."
                )
            check_utf8(text, f"the {which} text of pair {position}")
        checked.append((pair[0], pair[1]))
    return checked


def _are_pairs(texts: list[Any]) -> bool:
    return bool(texts) and isinstance(texts[0], tuple)


def _create(task: Callable[..., Task], encoder: Encoder, on_truncation: OnTruncation, activation: str) -> Task:
    return task(encoder, on_truncation=on_truncation, activation=activation)
