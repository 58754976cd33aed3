"""Why a query and a document have their score: the tokens that both are about, and what raised each of them.

The score of two sparse vectors is a sum over the tokens of the vocabulary, so nothing is approximated. A text's weight
for a token comes from the scores that its own tokens give it. In a model that takes the largest score, one token raised
it; in a model that adds them up, several did, and the one that added most is named.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.errors import plural
from pellucid.explain.drawn import Drawn
from pellucid.layers.finish import EachToken
from pellucid.layers.vocabulary import TokenWeights
from pellucid.reprs import short_repr
from pellucid.types import Token, TokenBatch

_IN_SENTENCE = 3


@dataclass(frozen=True)
class Term:
    """A token of the vocabulary that a text is about.

    Attributes:
        id: its id, which is a dimension of the sparse vector.
        piece: its spelling in the vocabulary.
        weight: the number there.
        raised_by: the position, in the text's tokens, of the token that gave it the highest score.
    """

    id: int
    piece: str
    weight: float
    raised_by: int

    __repr__ = short_repr


@dataclass(frozen=True)
class SparseText:
    """A text, and the terms that a model sees in it.

    Attributes:
        prompt: the prompt that was put before the text.
        text: the text.
        tokens: the tokens that the model read, special tokens included.
        cut: how many tokens were cut off, because the text is too long.
        terms: its terms, the heaviest first.
    """

    prompt: str
    text: str
    tokens: tuple[Token, ...]
    cut: int
    terms: tuple[Term, ...]

    __repr__ = short_repr

    def to_json(self) -> str:
        """The text and its terms, as JSON."""
        return json.dumps(text_json(self), ensure_ascii=False)

    def words(self, term: Term) -> str:
        """What a term was raised by, as the text has it; or the piece of a special token."""
        token = self.tokens[term.raised_by]
        return (self.prompt + self.text)[token.start : token.end] or token.piece


@dataclass(frozen=True)
class Match:
    """A term that the query and the document share.

    Attributes:
        piece: its spelling in the vocabulary.
        in_query: the term of the query.
        in_document: the term of the document.
        product: the product of their weights: what the term adds to the score.
    """

    piece: str
    in_query: Term
    in_document: Term
    product: float

    __repr__ = short_repr


@dataclass(frozen=True)
class ExplainedSparseScore(Drawn):
    """The score of a query and a document, term by term.

    Attributes:
        model_name: the model's name; of a folder only its own name, because other people may see it.
        score: the dot product of the two vectors.
        matches: the terms that both texts have, those that add most first. Their products add up to the score.
        query: the query, and its terms.
        document: the document, and its terms.
    """

    model_name: str
    score: float
    matches: tuple[Match, ...]
    query: SparseText
    document: SparseText

    def __repr__(self) -> str:
        return f"ExplainedSparseScore(score={self.score:.4f}, {plural(len(self.matches), 'term')} in common)"

    def __str__(self) -> str:
        return f"{self.headline} {self.sentence}"

    @property
    def headline(self) -> str:
        """The score, as a sentence."""
        return f"The score is {self.score:.4f}."

    @property
    def sentence(self) -> str:
        """A sentence about the terms that add most to the score."""
        if not self.matches:
            return "The query and the document have no term in common."
        shown = [f"“{match.piece}” adds {match.product:.3f}" for match in self.matches[:_IN_SENTENCE]]
        rest = self.matches[len(shown) :]
        if rest:
            total = sum(match.product for match in rest)
            shown.append(f"{plural(len(rest), 'other term')} {'adds' if len(rest) == 1 else 'add'} {total:.3f}")
        *most, last = shown
        return f"{', '.join(most)} and {last}." if most else f"{last}."

    def to_json(self) -> str:
        """The texts, their terms and the matches, as JSON."""
        matches = [
            {
                "piece": match.piece,
                "id": match.in_query.id,
                "query_weight": match.in_query.weight,
                "document_weight": match.in_document.weight,
                "product": match.product,
                "query_words": self.query.words(match.in_query),
                "document_words": self.document.words(match.in_document),
            }
            for match in self.matches
        ]
        facts = {"model": self.model_name, "score": self.score, "sentence": self.sentence, "matches": matches}
        texts = {"query": text_json(self.query), "document": text_json(self.document)}
        return json.dumps(facts | texts, ensure_ascii=False)


def explain_text(encoder: Encoder, finish: TokenWeights, text: str, prompt: str) -> SparseText:
    """Find the terms of a text, and the token that raised each of them.

    Args:
        encoder: the model.
        finish: gives the sparse vector.
        text: the text.
        prompt: put before it.

    Raises:
        TextError: the text cannot be tokenized.
        InvalidModelError: the model gave NaN or infinity.
    """
    read = encoder.tokenizer.inspect(text, prompt)
    tokens = TokenBatch.from_sequences([[token.id for token in read.tokens]])
    vectors = encoder.run(tokens, EachToken()).vectors
    weights = encoder.run(tokens, finish)
    finish.check(weights, lambda _row: 0)
    raised_by = finish.raised_by(vectors, tokens, weights.indices)
    order = np.argsort(-weights.values, kind="stable")
    terms = tuple(
        Term(index, encoder.tokenizer.piece(index), weight, position)
        for index, weight, position in zip(
            weights.indices[order].tolist(), weights.values[order].tolist(), raised_by[order].tolist(), strict=True
        )
    )
    return SparseText(prompt, text, read.tokens, len(read.cut), terms)


def explain_score(model_name: str, query: SparseText, document: SparseText) -> ExplainedSparseScore:
    """Explain the score of a query and a document by the terms that both have."""
    of_document = {term.id: term for term in document.terms}
    matches = [
        Match(term.piece, term, other, term.weight * other.weight)
        for term in query.terms
        if (other := of_document.get(term.id)) is not None
    ]
    matches.sort(key=lambda match: -match.product)
    score = math.fsum(match.product for match in matches)
    return ExplainedSparseScore(model_name, score, tuple(matches), query, document)


def text_json(text: SparseText) -> dict[str, Any]:
    """A text and its terms, for JSON."""
    return {
        "prompt": text.prompt,
        "text": text.text,
        "tokens": [token.piece for token in text.tokens],
        "cut": text.cut,
        "terms": [
            {"piece": term.piece, "id": term.id, "weight": term.weight, "raised_by": term.raised_by}
            for term in text.terms
        ],
    }
