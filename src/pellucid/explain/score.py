"""Why a query and a document have their score: what changes when a part of either is left out.

A part is a token, a word or a sentence. Its *change* is the logit of the pair, minus the logit of the same pair without
the part's tokens. Every change is exact: the model reads the shorter pair, and nothing is approximated. But the changes
do not add up to the score. Without one word the others mean something else, so two words that say the same may both
have a small change, although the score needs one of them.

The attention between the texts shows what was read, not what counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.errors import UnsupportedModelError, plural
from pellucid.explain.drawn import Drawn
from pellucid.explain.leave_out import MAX_PRODUCTS, Part, choose_groups, logits_without, token_limit
from pellucid.explain.pair import Pair, PairText, read_pair
from pellucid.explain.shares import Float64
from pellucid.explain.trace import MAX_ATTENTION_BYTES, display_name
from pellucid.layers.activations import ACTIVATIONS
from pellucid.reprs import short_repr
from pellucid.types import Float32

Kind = Literal["tokens", "words", "sentences"]
_KINDS: tuple[Kind, ...] = ("tokens", "words", "sentences")

_QUERY, _DOCUMENT = 0, 1
_GROUPS: tuple[tuple[int, Kind], ...] = (
    (_DOCUMENT, "sentences"),
    (_QUERY, "words"),
    (_DOCUMENT, "words"),
    (_QUERY, "sentences"),
    (_QUERY, "tokens"),
    (_DOCUMENT, "tokens"),
)
"""The groups of parts, those that a reader needs most first."""


@dataclass(frozen=True, eq=False)
class Changes:
    """How much the logit changes because of each part of a text: above 0, the part raises it.

    Attributes:
        tokens: ``float64[len(tokens)]``, for the text's tokens. None if they were not left out in turn;
            ``ExplainedScore.left_out`` says why.
        words: the same for its words.
        sentences: the same for its sentences.
    """

    tokens: Float64 | None
    words: Float64 | None
    sentences: Float64 | None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class ExplainedScore(Drawn):
    """The score of a query and a document, and what each part of them changes.

    A change is the logit of the pair, minus the logit of the same pair without the part. It is above 0 if the part
    raises the logit. Changes are exact. They do not add up to the score.

    Attributes:
        model_name: the model's name; of a folder only its own name, because other people may see it.
        score: the score.
        logit: the model's number before the activation.
        activation: what turns the logit into the score: "sigmoid", "identity", ….
        query: the query as the model read it.
        document: the document as the model read it.
        query_changes: the changes of the query's parts.
        document_changes: the changes of the document's parts.
        query_attention: ``float32[layers, q, d]``: how much token i of the query looks at token j of the document in
            each layer, as the mean over the heads. It shows what was read, not what counted. None if the pair is so
            long that it would take too much memory.
        document_attention: ``float32[layers, d, q]``: how much the document's tokens look at the query's.
        left_out: sentences about what is None because the pair is too long; "" if nothing is missing.
    """

    model_name: str
    score: float
    logit: float
    activation: str
    query: PairText
    document: PairText
    query_changes: Changes
    document_changes: Changes
    query_attention: Float32 | None
    document_attention: Float32 | None
    left_out: str

    def __repr__(self) -> str:
        sizes = f"{len(self.query.tokens):,} + {plural(len(self.document.tokens), 'token')}"
        return f"ExplainedScore(score={self.score:.4f}, logit={self.logit:.4f}, {sizes})"

    def __str__(self) -> str:
        return f"{self.headline} {self.sentence}"

    @property
    def headline(self) -> str:
        """The score and the logit, as a sentence."""
        logit = "" if self.activation == "identity" else f", the {self.activation} of the logit {self.logit:.3f}"
        return f"The score is {self.score:.4f}{logit}."

    @property
    def sentence(self) -> str:
        """Sentences that name the words which raise the score most, and those which lower it most."""
        from pellucid.explain.score_sentence import score_sentence

        return score_sentence(self)

    def to_json(self, *, arrays: bool = True) -> str:
        """The texts, their parts and the numbers, as JSON.

        Args:
            arrays: True writes the attention as nested lists, which are many numbers for long texts. False writes only
                its shape.
        """
        attention = {"query_attention": self.query_attention, "document_attention": self.document_attention}
        written = {
            name: None if array is None else array.tolist() if arrays else list(array.shape)
            for name, array in attention.items()
        }
        return json.dumps(
            {
                "model": self.model_name,
                "score": self.score,
                "logit": self.logit,
                "activation": self.activation,
                "sentence": self.sentence,
                "query": _text_json(self.query, self.query_changes),
                "document": _text_json(self.document, self.document_changes),
                **(written if arrays else {"shapes": written}),
                "left_out": self.left_out,
            },
            ensure_ascii=False,
        )


def explain_score(
    encoder: Encoder,
    query: str,
    document: str,
    prompt: str,
    activation: str,
    *,
    max_products: float = MAX_PRODUCTS,
) -> ExplainedScore:
    """Score a pair, and leave out each part of it in turn. All these pairs go through the engine in one call.

    Args:
        encoder: the model; its head has one label.
        query: the query.
        document: the document.
        prompt: put before the query.
        activation: what turns the logit into the score.
        max_products: about how many multiplications this may take. If it would take more, some kinds of parts are not
            left out, and the result says which.

    Raises:
        UnsupportedModelError: the model has no head.
        TextError: a text cannot be tokenized.
        InvalidModelError: the model gave NaN or infinity.
    """
    head = encoder.spec.head
    if head is None:
        raise UnsupportedModelError(f"{encoder.spec.name} has no head that gives scores.")
    pair = read_pair(encoder, query, document, prompt)
    groups = {(side, kind): _parts(pair, side, kind) for side, kind in _GROUPS}
    length = len(pair.batch.ids)
    chosen, others = choose_groups(groups, length, token_limit(encoder.spec.encoder, length, max_products))
    logits = logits_without(encoder, pair.batch, head, [(), *(part for key in chosen for part in groups[key])])
    ends = np.cumsum([len(groups[key]) for key in chosen])
    changes = dict(zip(chosen, np.split(logits[0] - logits[1:], ends[:-1]), strict=True)) if chosen else {}
    query_attention, document_attention, why_no_attention = _attention(encoder, pair)
    return ExplainedScore(
        model_name=display_name(encoder),
        score=float(ACTIVATIONS[activation](logits[:1].astype(np.float32))[0]),
        logit=float(logits[0]),
        activation=activation,
        query=pair.texts[_QUERY],
        document=pair.texts[_DOCUMENT],
        query_changes=_changes(changes, _QUERY),
        document_changes=_changes(changes, _DOCUMENT),
        query_attention=query_attention,
        document_attention=document_attention,
        left_out=" ".join(filter(None, [*_notes(others), why_no_attention])),
    )


def _parts(pair: Pair, side: int, kind: Kind) -> list[Part]:
    text, start = pair.texts[side], pair.starts[side]
    if kind == "tokens":
        return [(start + position,) for position in range(len(text.tokens))]
    return [
        tuple(start + position for position in part.tokens)
        for part in (text.words if kind == "words" else text.sentences)
    ]


def _changes(changes: dict[tuple[int, Kind], Float64], side: int) -> Changes:
    return Changes(*(changes.get((side, kind)) for kind in _KINDS))


def _attention(encoder: Encoder, pair: Pair) -> tuple[Float32 | None, Float32 | None, str]:
    """How much the query looks at the document, and the reverse; or None and the reason."""
    ids, blocks = pair.batch.ids, encoder.spec.encoder.blocks
    size = 4 * len(ids) ** 2 * max((block.attention.heads for block in blocks), default=0)
    if size > MAX_ATTENTION_BYTES:
        note = f"The attention of {plural(len(ids), 'token')} takes {size / 1e9:.1f} GB in each layer: it is left out."
        return None, None, note
    query, document = pair.places(_QUERY), pair.places(_DOCUMENT)
    (q, d), layers = (len(text.tokens) for text in pair.texts), len(blocks)
    forth, back = np.zeros((layers, q, d), np.float32), np.zeros((layers, d, q), np.float32)
    steps = encoder.reference.steps(ids, pair.batch.segments) if len(ids) else iter(())
    weights = (step.attention for step in steps if step.attention is not None)
    for layer, attention in enumerate(weights):
        forth[layer] = attention[:, query, document].mean(axis=0)
        back[layer] = attention[:, document, query].mean(axis=0)
    return forth, back, ""


def _notes(others: dict[tuple[int, Kind], int]) -> list[str]:
    """Say which parts were not left out in turn, because it would take too long."""
    notes = []
    for side, name in ((_QUERY, "query"), (_DOCUMENT, "document")):
        kinds = [kind for kind in reversed(_KINDS) if (side, kind) in others]
        if kinds:
            tokens = sum(others[side, kind] for kind in kinds)
            notes.append(
                f"The {' and the '.join(kinds)} of the {name} were not left out in turn: the model would have to read "
                f"{tokens:,} more tokens, which would take too long."
            )
    return notes


def _text_json(text: PairText, changes: Changes) -> dict[str, Any]:
    parts = {"tokens": text.tokens, "words": text.words, "sentences": text.sentences}
    return {
        "prompt": text.prompt,
        "text": text.text,
        "cut": [vars(token) for token in text.cut],
        **{
            kind: [
                vars(part) | {"change": change}
                for part, change in zip(members, _listed(getattr(changes, kind), len(members)), strict=True)
            ]
            for kind, members in parts.items()
        },
    }


def _listed(changes: Float64 | None, count: int) -> Sequence[float | None]:
    return [None] * count if changes is None else changes.tolist()
