"""Why two texts are as close as they are: their cosine as a sum over pairs of tokens."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.explain.drawn import Drawn
from pellucid.explain.shares import Float64, token_parts, why_no_parts
from pellucid.explain.trace import Trace, trace
from pellucid.layers.finish import Pool
from pellucid.types import TokenBatch

if TYPE_CHECKING:
    from pellucid.explain.words import WordShares


@dataclass(frozen=True, eq=False)
class Comparison(Drawn):
    """Two traced texts, and how much each token contributes to their cosine.

    Attributes:
        first: the trace of the first text.
        second: the trace of the second text.
        cosine: the cosine of the two vectors.
        pairs: ``float64[n, m]``: how much token i of the first text and token j of the second add to the cosine. All
            entries sum to the cosine. None if the model's vectors are not sums with one part for each token.
        why_no_pairs: the reason if ``pairs`` is None; otherwise None.
        first_shares: ``float64[n]``: how much each token of the first text adds to the cosine, which is the sum of its
            row in ``pairs``. Without pairs: how much the cosine falls when the token is left out of the text. Those
            numbers do not sum to the cosine.
        second_shares: ``float64[m]``: the same for the tokens of the second text, by columns.
    """

    first: Trace
    second: Trace
    cosine: float
    pairs: Float64 | None
    why_no_pairs: str | None
    first_shares: Float64
    second_shares: Float64

    def __repr__(self) -> str:
        return f"Comparison(cosine={self.cosine:.4f}, {len(self.first.tokens):,} × {len(self.second.tokens):,} tokens)"

    def __str__(self) -> str:
        return f"{self.sentence} The cosine is {self.cosine:.4f}."

    def top(self, count: int = 10) -> list[tuple[str, str, float]]:
        """The pairs of words that add most to the cosine, largest first; an empty list if ``pairs`` is None.

        Each is ``(word of the first text, word of the second text, share)``. Special tokens, prompts and marks such as
        commas are no words. ``pairs`` has every pair of tokens; :func:`~pellucid.explain.words.word_shares` has every
        pair of words, and what the rest adds.
        """
        from pellucid.explain.sentence import pairs_without_marks

        return [] if self.word_shares is None else pairs_without_marks(self.word_shares, count)

    @functools.cached_property
    def word_shares(self) -> WordShares | None:
        """How much each pair of words adds to the cosine; None if there are no pairs."""
        from pellucid.explain.words import word_shares

        return word_shares(self)

    @property
    def sentence(self) -> str:
        """One or two sentences that say in plain words where the cosine comes from."""
        from pellucid.explain.sentence import comparison_sentence

        return comparison_sentence(self)

    def to_json(self) -> str:
        """The texts, their tokens and the numbers, as JSON. Use ``first.to_json()`` for a trace's own arrays."""
        sides = {
            name: {"text": side.text, "prompt": side.prompt, "tokens": [vars(token) for token in side.tokens]}
            for name, side in (("first", self.first), ("second", self.second))
        }
        numbers = {
            "cosine": self.cosine,
            "sentence": self.sentence,
            "pairs": None if self.pairs is None else self.pairs.tolist(),
            "why_no_pairs": self.why_no_pairs,
            "first_shares": self.first_shares.tolist(),
            "second_shares": self.second_shares.tolist(),
        }
        return json.dumps({"model": self.first.model_name, **sides, **numbers}, ensure_ascii=False)


def compare(encoder: Encoder, first_text: tuple[str, str], second_text: tuple[str, str]) -> Comparison:
    """Trace two texts and divide their cosine among their tokens.

    Args:
        encoder: the model.
        first_text: a text and its prompt.
        second_text: another text and its prompt.
    """
    first, second = (trace(encoder, text, prompt) for text, prompt in (first_text, second_text))
    vectors = [traced.vector.astype(np.float64) for traced in (first, second)]
    lengths = [max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]
    cosine = float(vectors[0] @ vectors[1]) / (lengths[0] * lengths[1])
    reason = why_no_parts(Pool(encoder.spec.pooling, encoder.modules))
    if reason is None:
        parts = [
            token_parts(traced.token_vectors, _finish_of(encoder, traced)) / length
            for traced, length in zip((first, second), lengths, strict=True)
        ]
        pairs = parts[0] @ parts[1].T
        return Comparison(first, second, cosine, pairs, None, pairs.sum(axis=1), pairs.sum(axis=0))
    return Comparison(
        first,
        second,
        cosine,
        None,
        reason,
        _cosine_drops(encoder, first, vectors[1] / lengths[1], cosine),
        _cosine_drops(encoder, second, vectors[0] / lengths[0], cosine),
    )


def _finish_of(encoder: Encoder, traced: Trace) -> Pool:
    """The finish that turns the traced text into its vector."""
    return Pool(encoder.spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(traced.prompt))


def _cosine_drops(encoder: Encoder, traced: Trace, other: Float64, cosine: float) -> Float64:
    """Leave out each token of a text in turn, and measure how much the cosine falls.

    All shorter texts run together, so the weights of a large model are not read once for each of them.

    Args:
        encoder: the model.
        traced: the text.
        other: the other text's vector, of unit length.
        cosine: the cosine with all tokens.

    Returns:
        ``float64[n]``; 0 for special tokens.
    """
    ids = np.array([token.id for token in traced.tokens], dtype=np.int32)
    drops = np.zeros(len(ids))
    finish = _finish_of(encoder, traced)
    # Special tokens stay in: the model has never seen a text without them.
    places = np.array([place for place, token in enumerate(traced.tokens) if token.kind != "special"], dtype=np.int64)
    is_prompt = places < finish.prompt_tokens
    for group, prompt_tokens in (
        (places[is_prompt], finish.prompt_tokens - 1),
        (places[~is_prompt], finish.prompt_tokens),
    ):
        if len(group):
            shorter = TokenBatch.from_sequences([np.delete(ids, place) for place in group])
            vectors = encoder.run(shorter, replace(finish, prompt_tokens=prompt_tokens)).astype(np.float64)
            drops[group] = cosine - vectors @ other / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    return drops
