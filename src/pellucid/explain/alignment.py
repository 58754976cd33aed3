"""Why a query and a document have their MaxSim score: which token each token of the query found, and its part.

Nothing is approximated: the score is the sum of the parts, because that is how MaxSim is computed. But a token's vector
depends on its whole text, so a token may be found for what is around it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.errors import InputError, plural
from pellucid.explain.drawn import Drawn
from pellucid.explain.shares import Float64
from pellucid.explain.trace import display_name
from pellucid.explain.words import is_mark
from pellucid.reprs import short_repr
from pellucid.types import Float32, Int64, MultiVectors, Token

_BAR = 10
"""The characters of a bar that stands for a similarity of 1."""
_IN_SENTENCE = 3


@dataclass(frozen=True)
class AlignedText:
    """A query or a document, as the model read it.

    Attributes:
        prompt: the prompt that was put before the text.
        text: the text.
        tokens: the tokens that have a vector, in the text's order. Their ``start`` and ``end`` count characters of
            ``prompt + text``.
        skipped: the tokens that the model read, but that have no vector.
        cut: the tokens that were cut off.
        expansion: how many of ``tokens`` fill up a query. They are its last ones, and stand for no word of it.
    """

    prompt: str
    text: str
    tokens: tuple[Token, ...]
    skipped: tuple[Token, ...]
    cut: tuple[Token, ...]
    expansion: int = 0

    __repr__ = short_repr

    def words(self, token: Token) -> str:
        """What a token was made from, as the text has it; or the piece of a token that was made from nothing."""
        return (self.prompt + self.text)[token.start : token.end].strip() or token.piece

    def to_json(self) -> str:
        """The text and its tokens, as JSON."""
        return json.dumps(_text_json(self), ensure_ascii=False)


@dataclass(frozen=True, eq=False)
class Alignment(Drawn):
    """The MaxSim of a query and a document, token by token.

    Attributes:
        model_name: the model's name; of a folder only its own name, because other people may see it.
        score: the score.
        query: the query as the model read it.
        document: the document as the model read it.
        similarities: ``float32[q, d]``: the dot product of each token of the query with each one of the document. It is
            the cosine, if the model's vectors have length 1.
        matches: ``int64[q]``: the position in ``document.tokens`` of the token that each token of the query found: the
            most similar one, and of equal ones the first. Empty if the document has no vectors.
        parts: ``float32[q]``: the similarities of these. Their sum is the score.
    """

    model_name: str
    score: float
    query: AlignedText
    document: AlignedText
    similarities: Float32
    matches: Int64
    parts: Float32

    def __repr__(self) -> str:
        sizes = f"{len(self.query.tokens):,} × {plural(len(self.document.tokens), 'token')}"
        return f"Alignment(score={self.score:.4f}, {sizes})"

    def __str__(self) -> str:
        """The score, and a line for each token of the query: what it found, and how similar that is."""
        if not len(self.matches):
            return f"The score is {self.score:.4f}: one of the texts has no vectors."
        width = max(len(_name(token)) for token in self.query.tokens)
        lines = [f"The score is {self.score:.4f}, the sum of the similarities of {plural(len(self.parts), 'token')}."]
        for token, match, part in zip(self.query.tokens, self.matches.tolist(), self.parts.tolist(), strict=True):
            bar = "█" * round(_BAR * min(max(part, 0.0), 1.0))
            lines.append(f"{part:8.4f} {bar:<{_BAR}} {_name(token):>{width}} → {_name(self.document.tokens[match])}")
        return "\n".join(lines)

    @property
    def headline(self) -> str:
        """The score, as a sentence."""
        return f"The score is {self.score:.4f}."

    @property
    def sentence(self) -> str:
        """Sentences that name the words of the query that found the most similar tokens, and say what the rest adds."""
        if not len(self.matches):
            return "One of the texts has no vectors."
        tokens, parts = self.query.tokens, self.parts.tolist()
        texts = [self.query.words(token) for token in tokens]
        words = [row for row, token in enumerate(tokens) if token.kind != "special" and not is_mark(texts[row])]
        strongest = sorted(words, key=lambda row: -parts[row])[:_IN_SENTENCE]
        found = [f"“{texts[row]}” found “{self.found(row)}” ({parts[row]:.3f})" for row in strongest]
        *most, last = found or ["The query has no words"]
        sentence = f"{', '.join(most)} and {last}." if most else f"{last}."
        count, filling = len(tokens) - len(strongest), self.query.expansion
        if not count:
            return sentence
        rest = math.fsum(parts) - math.fsum(parts[row] for row in strongest)
        others = f"{plural(count, 'other token' if found else 'token')} of the query {'adds' if count == 1 else 'add'}"
        fill = "" if not filling else f"; {filling:,} of them only {'fills' if filling == 1 else 'fill'} it up"
        return f"{sentence} {others} {rest:.3f}{fill}."

    @property
    def document_parts(self) -> Float64:
        """What each token of the document adds to the score, ``float64[d]``: the parts of the tokens that found it."""
        sums = np.zeros(len(self.document.tokens))
        np.add.at(sums, self.matches, self.parts)
        return sums

    def found(self, row: int) -> str:
        """What the token of the query at this position found, as the document has it."""
        return self.document.words(self.document.tokens[self.matches[row]])

    def to_json(self, *, arrays: bool = True) -> str:
        """The texts, their tokens, and what each one found, as JSON. ``arrays=False`` leaves the similarities out."""
        values = {
            "model": self.model_name,
            "score": self.score,
            "sentence": self.sentence,
            "query": _text_json(self.query),
            "document": _text_json(self.document),
            "matches": self.matches.tolist(),
            "parts": self.parts.tolist(),
        }
        if arrays:
            values["similarities"] = self.similarities.tolist()
        return json.dumps(values, ensure_ascii=False)


def align(
    encoder: Encoder, query: AlignedText, document: AlignedText, query_vectors: Float32, document_vectors: Float32
) -> Alignment:
    """Find out which tokens of a query and a document belong together.

    Args:
        encoder: the model; its engine computes the similarities.
        query: the query.
        document: the document.
        query_vectors: ``float32[q, width]``, the vectors of the query's tokens.
        document_vectors: ``float32[d, width]``, those of the document's.

    Raises:
        InputError: there are not as many vectors as tokens.
    """
    if (len(query_vectors), len(document_vectors)) != (len(query.tokens), len(document.tokens)):
        raise InputError("there must be one vector for each token.")
    engine = encoder.engine
    whole = MultiVectors(document_vectors, np.array([0, len(document_vectors)], dtype=np.int32))
    # Each token as a document of its own. In the core, these are the dot products of the score, to the last bit.
    single = MultiVectors(document_vectors, np.arange(len(document_vectors) + 1, dtype=np.int32))
    similarities = np.zeros((len(query_vectors), len(document_vectors)), dtype=np.float32)
    for row in range(len(query_vectors)):
        similarities[row] = engine.maxsim(query_vectors[row : row + 1], single)
    matches = similarities.argmax(axis=1) if similarities.size else np.empty(0, dtype=np.int64)
    return Alignment(
        model_name=display_name(encoder),
        score=float(engine.maxsim(query_vectors, whole)[0]),
        query=query,
        document=document,
        similarities=similarities,
        matches=matches,
        parts=similarities[np.arange(len(matches)), matches],
    )


def _name(token: Token) -> str:
    """A token's spelling, without line breaks or other characters that would spoil a line."""
    return "".join(character if character.isprintable() else "·" for character in token.piece)


def _text_json(text: AlignedText) -> dict[str, object]:
    return {
        "prompt": text.prompt,
        "text": text.text,
        **{name: [vars(token) for token in getattr(text, name)] for name in ("tokens", "skipped", "cut")},
        "expansion": text.expansion,
    }
