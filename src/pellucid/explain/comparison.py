"""Why two texts are as close as they are: the cosine, as a sum over pairs of tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.explain import shares
from pellucid.explain.shares import Float64
from pellucid.explain.trace import Trace, trace
from pellucid.layers.finish import Pool
from pellucid.types import TokenBatch


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two traced texts, and what each token has to do with their cosine.

    Attributes:
        first: the one text, traced.
        second: the other.
        cosine: of their vectors.
        pairs: ``float64[n, m]``: what token i of the first and token j of the second add to the cosine. They sum to
            it. None if the model's vectors are no sums of their tokens' parts.
        why_no_pairs: why there are none.
        first_shares: ``float64[n]``: what each token of the first adds: the sums of rows. Without pairs, by how much
            the cosine falls when the token is left out of the text; these do not sum to anything.
        second_shares: ``float64[m]``, likewise.
    """

    first: Trace
    second: Trace
    cosine: float
    pairs: Float64 | None
    why_no_pairs: str | None
    first_shares: Float64
    second_shares: Float64

    def top(self, count: int = 10) -> list[tuple[int, int, float]]:
        """The pairs that add most, as ``(token of the first, token of the second, share)``; empty without pairs."""
        if self.pairs is None:
            return []
        order = np.argsort(-self.pairs, axis=None, kind="stable")[:count]
        places = zip(*np.unravel_index(order, self.pairs.shape), strict=True)
        return [(int(i), int(j), float(self.pairs[i, j])) for i, j in places]

    def _repr_html_(self) -> str:
        """What a notebook shows: the page, in a frame."""
        from pellucid.explain.render.html import notebook

        return notebook(self)

    def to_json(self) -> str:
        """The texts, their tokens, and the numbers; the traces have their own."""
        sides = {
            name: {"text": side.text, "prompt": side.prompt, "tokens": [vars(token) for token in side.tokens]}
            for name, side in (("first", self.first), ("second", self.second))
        }
        numbers = {
            "cosine": self.cosine,
            "pairs": None if self.pairs is None else self.pairs.tolist(),
            "why_no_pairs": self.why_no_pairs,
            "first_shares": self.first_shares.tolist(),
            "second_shares": self.second_shares.tolist(),
        }
        return json.dumps({"model": self.first.model_name, **sides, **numbers}, ensure_ascii=False)


def compare(encoder: Encoder, first_text: tuple[str, str], second_text: tuple[str, str]) -> Comparison:
    """Share out the cosine of two texts, each with its prompt, among their tokens."""
    first, second = (trace(encoder, text, prompt) for text, prompt in (first_text, second_text))
    vectors = [traced.vector.astype(np.float64) for traced in (first, second)]
    lengths = [max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]
    cosine = float(vectors[0] @ vectors[1]) / (lengths[0] * lengths[1])
    why = shares.why_not(Pool(encoder.spec.pooling, encoder.modules))
    if why is None:
        parts = [
            shares.parts(traced.token_vectors, _finish(encoder, traced)) / length
            for traced, length in zip((first, second), lengths, strict=True)
        ]
        pairs = parts[0] @ parts[1].T
        return Comparison(first, second, cosine, pairs, None, pairs.sum(axis=1), pairs.sum(axis=0))
    return Comparison(
        first,
        second,
        cosine,
        None,
        why,
        _left_out(encoder, first, vectors[1] / lengths[1], cosine),
        _left_out(encoder, second, vectors[0] / lengths[0], cosine),
    )


def _finish(encoder: Encoder, traced: Trace, left_out: int | None = None) -> Pool:
    """What makes the text's vector, of all tokens or without one."""
    prompt_tokens = encoder.tokenizer.prompt_tokens(traced.prompt)
    if left_out is not None and left_out < prompt_tokens:
        prompt_tokens -= 1
    return Pool(encoder.spec.pooling, encoder.modules, prompt_tokens)


def _left_out(encoder: Encoder, traced: Trace, other: Float64, cosine: float) -> Float64:
    """By how much the cosine to ``other``, of unit length, falls without each token of a text: ``float64[n]``."""
    ids = np.array([token.id for token in traced.tokens], dtype=np.int32)
    falls = np.zeros(len(ids))
    # Special tokens stay: without them the model would be in a state that it has never seen.
    for place in (place for place, token in enumerate(traced.tokens) if token.kind != "special"):
        batch = TokenBatch.from_sequences([np.delete(ids, place)])
        vector = encoder.run(batch, _finish(encoder, traced, place))[0].astype(np.float64)
        falls[place] = cosine - float(vector @ other) / max(float(np.linalg.norm(vector)), 1e-12)
    return falls
