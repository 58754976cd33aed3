"""What the tasks share whose model has a head: one or more numbers for each text, or for each pair of texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np

from pellucid.checks import check_choice
from pellucid.encoder.encoder import Encoder
from pellucid.encoder.prompts import choose_prompt
from pellucid.engines.reference import softmax
from pellucid.errors import OptionError, TextTypeError, UnsupportedModelError
from pellucid.layers.activations import ACTIVATIONS, BY_TORCH_CLASS, sigmoid
from pellucid.layers.finish import Pool
from pellucid.model.spec import HeadSpec, ModelSpec
from pellucid.sources.files import ModelFiles
from pellucid.task import Call, Task
from pellucid.text.chat import ChatTexts
from pellucid.text.checks import as_list, check_texts, check_utf8
from pellucid.text.padding import without_padding
from pellucid.text.pairs import PairTexts, join_pairs
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32, Int32, TokenBatch, check_tokens

Pair = tuple[str, str]
SCORE_ACTIVATIONS = tuple(sorted(set(BY_TORCH_CLASS.values())))


class ScoringTask(Task):
    """The base class of tasks whose model has a head.

    Attributes:
        activation: what turns logits into scores.
    """

    progress_name: ClassVar[str] = "Scoring"
    model_kind = "reranker"

    def __init__(
        self,
        model: str | os.PathLike[str] | Encoder,
        options: Mapping[str, Any],
        on_truncation: OnTruncation,
        activation: str | None = None,
    ) -> None:
        super().__init__(model, options, None, on_truncation)
        if activation is not None:
            check_choice("activation", activation, SCORE_ACTIVATIONS)
        if self.spec.head is not None and self.spec.stages and self.files.has("modules.json"):
            raise UnsupportedModelError(
                f"{self.spec.name} gives vectors, as its modules.json says. Use Embedder, or pellucid embed."
            )
        self._finish = Pool(self.head.pooling, self.encoder.head)
        self._activation = activation or self.head.activation
        if self.max_tokens < (least := self.least_tokens):
            others = "special tokens" if self.tokenizer.chat is None else "tokens of the chat template"
            raise OptionError(
                f"max_tokens={self.max_tokens} leaves no room for two texts besides {least - 2} {others}.", "max_tokens"
            )

    @property
    def head(self) -> HeadSpec:
        """What the model's files say about its head."""
        if self.spec.head is None:
            raise UnsupportedModelError(
                self.spec.why_no_head
                or f"{self.spec.name} has no head that scores or classifies: its config.json names no class that ends "
                f"in ForSequenceClassification, and its modules.json no LogitScore. If it gives vectors, use Embedder."
            )
        return self.spec.head

    @property
    def activation(self) -> str:
        """What turns logits into scores: "sigmoid", "identity", ….

        Raises:
            UnsupportedModelError: the model's files name one that Pellucid does not have.
        """
        if self._activation not in ACTIVATIONS:
            raise UnsupportedModelError(
                f"{self.spec.name}: the activation {self._activation!r:.80} is not supported, and Pellucid never runs "
                f"code from a model. Choose another: {', '.join(SCORE_ACTIVATIONS)}."
            )
        return self._activation

    @property
    def finish(self) -> Pool:
        """Turns token vectors into logits, ``float32[B, labels]``."""
        return self._finish

    @property
    def least_tokens(self) -> int:
        """The least ``max_tokens`` that leaves room for two texts: one token of each, and all that is around them."""
        chat = self.tokenizer.chat
        if chat is None:
            return self.tokenizer.pair_template.specials + 2
        return len(self.tokenizer.tokenize_plain([chat.render(("", "") if chat.takes_pairs else "")]).ids) + 2

    def prompt_named(self, prompt_name: str | None) -> str:
        """The prompt of this name; None for the model's default. Raises OptionError for an unknown name."""
        return self._prompt(prompt_name, None)

    def probabilities_of(self, logits: Float32) -> Float32:
        """Turn logits into the probability of each label, ``float32[n, labels]``.

        It is a softmax, or a sigmoid of each logit if there is one label only or several labels may be right.
        """
        return sigmoid(logits) if self.head.multi_label or len(self.head.labels) == 1 else softmax(logits)

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[Any, ...]]:
        """Pickle the arguments. Unpickling creates the task again, and loads its model."""
        return _create, (type(self), self.encoder, self._arguments())

    def _arguments(self) -> dict[str, Any]:
        """The arguments that make a copy, besides the encoder."""
        return {"on_truncation": self.on_truncation}

    def tokenize(self, texts: Sequence[str] | Sequence[Pair], prompt: str = "") -> tuple[TokenBatch, Int32]:
        """Turn texts, or pairs of texts, into the tokens that :meth:`logits_of_tokens` takes.

        Args:
            texts: texts, or tuples of two texts.
            prompt: put this before each text, or before the first text of each pair.

        Returns:
            The tokens, and ``int32[n]``: how many each text or pair had before it was cut to ``max_tokens``.

        Raises:
            TextTypeError, TextError: a text cannot be used.
        """
        return self._tokenize_now(list(texts), self._call(prompt), 0)

    def logits_of_tokens(
        self, tokens: TokenBatch, *, advance: Callable[[int], object] = lambda _texts: None
    ) -> Float32:
        """The model's numbers before any activation, ``float32[n, labels]``, for texts that are tokenized already.

        ``advance`` is called after each part of the work with its number of texts.

        Raises:
            InputError: the tokens are not those of this model, or a text has more than ``max_tokens``.
        """
        encoder = self.spec.encoder
        check_tokens(tokens, encoder.vocab_size, self.max_tokens, encoder.embedding.token_types)
        logits = self.encoder.run(tokens, self._finish, advance=advance)
        self._finish.check(logits, lambda row: row)
        return logits

    def _logits(
        self,
        texts: list[str] | list[Pair],
        prompt: str,
        *,
        show_progress: bool = False,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Float32:
        """The numbers that the head gives, ``float32[n, labels]``."""
        return self._run(texts, self._call(prompt), show_progress=show_progress, advance=advance)

    def _call(self, prompt: str) -> Call[Float32]:
        return Call(prompt, self._finish)

    def _scores(self, logits: Float32) -> Float32:
        return ACTIVATIONS[self.activation](logits)

    def _prompt(self, prompt_name: str | None, prompt: str | None) -> str:
        default = self.spec.default_prompt_name
        return choose_prompt(self.spec, () if default is None else (default,), prompt_name, prompt)

    def _unit(self, texts: list[Any]) -> str:
        return "pair" if _are_pairs(texts) else "text"

    def _check(self, texts: list[Any], first: int) -> None:
        if not _are_pairs(texts):
            check_texts(texts, first=first)

    def _tokenize_now(self, texts: list[Any], call: Call[Any], first: int) -> tuple[TokenBatch, Int32]:
        if not _are_pairs(texts) and self.tokenizer.chat is None:
            tokens, counts = super()._tokenize_now(texts, call, first)
            return self._without_padding(tokens), counts
        prepared = self.prepare(texts, call.prompt)
        return self.join(prepared, self.tokenizer.tokenize_plain(prepared.texts))

    def prepare(
        self, texts: Sequence[str] | Sequence[Pair], prompt: str, *, max_second_tokens: int | None = None
    ) -> PairTexts | ChatTexts:
        """Find out which texts to tokenize for pairs: those of the pairs, or what the chat template makes of them.

        Args:
            texts: pairs of texts; or texts, for a model with a chat template.
            prompt: put this before each first text, or into the chat template.
            max_second_tokens: the most tokens of a second text, such as a document; None for all.

        Raises:
            UnsupportedModelError: the chat template is not made for pairs, or fails.
        """
        chat = self.tokenizer.chat
        if chat is None:
            return PairTexts.of(cast("Sequence[Pair]", texts), prompt, max_second_tokens)
        if texts and isinstance(texts[0], tuple):
            chat.check_pairs()
            if max_second_tokens is not None:
                pairs = cast("Sequence[Pair]", texts)
                texts = [(first, self.tokenizer.start_of(second, max_second_tokens)) for first, second in pairs]
        return self.tokenizer.render(chat, texts, prompt)

    def join(
        self, prepared: PairTexts | ChatTexts, plain: TokenBatch, *, max_tokens: int | None = None
    ) -> tuple[TokenBatch, Int32]:
        """Turn the tokens of texts into what the model reads. A pair that is too long is cut.

        Args:
            prepared: the texts, from :meth:`prepare`.
            plain: their tokens, as :meth:`~pellucid.text.tokenizer.Tokenizer.tokenize_plain` returns them.
            max_tokens: the most tokens of a pair, if that is less than the model's.

        Returns:
            The pairs, and ``int32[B]``: how many tokens each had before it was cut to ``max_tokens``.
        """
        keep_end = self.spec.tokenizer.truncation_side == "left"
        most = self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)
        if isinstance(prepared, ChatTexts):
            tokens, counts = prepared.cut(plain, most, keep_end=keep_end)
        else:
            tokens, counts = join_pairs(
                plain,
                prepared,
                self.tokenizer.pair_template,
                most,
                keep_end=keep_end,
                has_segments=self.spec.tokenizer.has_segments,
            )
        return self._without_padding(tokens), counts

    def _without_padding(self, tokens: TokenBatch) -> TokenBatch:
        return tokens if self.head.padding_id is None else without_padding(tokens, self.head.padding_id)


def gives_scores(files: ModelFiles, spec: ModelSpec) -> bool:
    """True if a model has a head that scores, unless its ``modules.json`` lists stages for vectors.

    Without that file, as in sentence-transformers, any model can be read as one that gives vectors. Its config says
    what it was trained for. Of a decoder that predicts the next token, only a chat template tells.
    """
    if spec.head is None or (spec.stages and files.has("modules.json")):
        return False
    return not (spec.stages and spec.head.answers) or spec.tokenizer.chat is not None


def check_pairs(pairs: Iterable[Any]) -> list[Pair]:
    """Pairs of texts as a list of tuples.

    Raises:
        TextTypeError: an entry is not a pair of texts; its position is given.
        TextError: a text cannot be written in UTF-8.
    """
    checked: list[Pair] = []
    given: list[Any] = as_list(pairs, "pairs", "pairs of texts", hint="")
    for position, entry in enumerate(given):
        pair = entry.tolist() if isinstance(entry, np.ndarray) else entry  # A row of a table's two columns.
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


def _create(task: Callable[..., Task], encoder: Encoder, arguments: Mapping[str, Any]) -> Task:
    return task(encoder, **arguments)
