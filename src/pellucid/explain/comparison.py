"""Why two texts are as close as they are: the cosine, as a sum over pairs of tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from pellucid.embedder import Embedder
from pellucid.explain import shares
from pellucid.explain.shares import Float64
from pellucid.explain.trace import Trace
from pellucid.layers import head, pooling
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


def compare(embedder: Embedder, first: Trace, second: Trace) -> Comparison:
    """Share out the cosine of two traced texts among their tokens."""
    vectors = [trace.vector.astype(np.float64) for trace in (first, second)]
    lengths = [max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]
    cosine = float(vectors[0] @ vectors[1]) / (lengths[0] * lengths[1])
    why = shares.why_not(embedder.spec)
    if why is None:
        parts = [_parts(embedder, trace) / length for trace, length in zip((first, second), lengths, strict=True)]
        pairs = parts[0] @ parts[1].T
        return Comparison(first, second, cosine, pairs, None, pairs.sum(axis=1), pairs.sum(axis=0))
    return Comparison(
        first,
        second,
        cosine,
        None,
        why,
        _left_out(embedder, first, vectors[1] / lengths[1], cosine),
        _left_out(embedder, second, vectors[0] / lengths[0], cosine),
    )


def _parts(embedder: Embedder, trace: Trace) -> Float64:
    return shares.parts(trace.token_vectors, trace.spec, embedder.tokenizer.prompt_tokens(trace.prompt))


def _left_out(embedder: Embedder, trace: Trace, other: Float64, cosine: float) -> Float64:
    """By how much the cosine to ``other``, of unit length, falls without each token of a text: ``float64[n]``."""
    ids = np.array([token.id for token in trace.tokens], dtype=np.int32)
    falls = np.zeros(len(ids))
    prompt_tokens = embedder.tokenizer.prompt_tokens(trace.prompt)
    # Special tokens stay: without them the model would be in a state that it has never seen.
    for place in (place for place, token in enumerate(trace.tokens) if token.kind != "special"):
        batch = TokenBatch.from_sequences([np.delete(ids, place)])
        skip = prompt_tokens - (place < prompt_tokens)
        pooled = pooling.pool(embedder.engine.token_vectors(batch), batch.offsets, trace.spec.pooling, skip)
        vector = head.finish(pooled, trace.spec.head, None, None)[0].astype(np.float64)
        falls[place] = cosine - float(vector @ other) / max(float(np.linalg.norm(vector)), 1e-12)
    return falls
