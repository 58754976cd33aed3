"""What ``pellucid search --why`` says of a hit: the words that make it match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pellucid.common_words import is_common
from pellucid.errors import UnsupportedModelError, printable

if TYPE_CHECKING:
    from pellucid.explain.words import WordShares
    from pellucid.multi_vector_embedder import MultiVectorEmbedder
    from pellucid.search.vector_kinds.base import AnyEmbedder
    from pellucid.sparse_embedder import SparseEmbedder

OTHER_SCORE = "score"
"""What people read instead of "cosine" where vectors are not dense."""
_WORD_PAIRS = 4
_MOST = 0.5
"""Pairs that add a smaller part of the score than this leave most of it to others."""


@dataclass(frozen=True)
class WordPair:
    """A word of the query, a word of the chunk, and how much the two add to the score."""

    query: str
    chunk: str
    share: float


@dataclass(frozen=True)
class Why:
    """Why a chunk matches.

    Attributes:
        score: the cosine of query and chunk, or in an index of other vectors their dot product or MaxSim.
        pairs: the pairs of words that add most to it, without words such as "the".
        frame: what special tokens and prompts add to it; None if the score is no sum over tokens.
        why_no_pairs: the reason if there are no pairs; otherwise None.
        name: what people call the score: "cosine" or "score".
    """

    score: float
    pairs: tuple[WordPair, ...]
    frame: float | None
    why_no_pairs: str | None
    name: str = "cosine"

    def to_dict(self) -> dict[str, Any]:
        """The same, for JSON. The score has its own name."""
        values = asdict(self)
        return {values.pop("name"): values.pop("score"), **values}


def explain(embedder: AnyEmbedder, query: str, chunks: Sequence[str], scores: Sequence[float]) -> list[Why]:
    """Find the pairs of words that add most to the score of a query and each chunk.

    Args:
        embedder: the model of the index.
        query: the query.
        chunks: the chunks.
        scores: the score of each, for a model whose scores are no sums over tokens.
    """
    from pellucid.embedder import Embedder
    from pellucid.explain.document_shares import document_shares, why_no_word_shares

    if not isinstance(embedder, Embedder):
        return [_explain_other(embedder, query, *each) for each in zip(chunks, scores, strict=True)]
    if reason := why_no_word_shares(embedder.encoder):
        return [Why(score, (), None, reason) for score in scores]
    documents = [(chunk, embedder.document_prompt) for chunk in chunks]
    return [_explain(shares) for shares in document_shares(embedder.encoder, (query, embedder.query_prompt), documents)]


def _explain_other(embedder: SparseEmbedder | MultiVectorEmbedder, query: str, chunk: str, score: float) -> Why:
    """Do the same for a chunk with a sparse vector, or with a vector for each token."""
    from pellucid.explain.score_shares import alignment_shares, sparse_shares
    from pellucid.sparse_embedder import SparseEmbedder

    try:
        if isinstance(embedder, SparseEmbedder):
            shares = sparse_shares(embedder.explain(query, chunk))
        else:
            shares = alignment_shares(embedder.explain(query, chunk))
    except UnsupportedModelError as error:
        return Why(score, (), None, str(error), OTHER_SCORE)
    return _explain(shares, OTHER_SCORE)


def _explain(shares: WordShares, name: str = "cosine") -> Why:
    from pellucid.explain.words import is_mark

    pairs = shares.top(_WORD_PAIRS, lambda word: not (is_mark(word) or is_common(word)))
    found = tuple(WordPair(*pair) for pair in pairs if pair[2] > 0)
    reason = None if found else f"No pair of words adds to the {name}."
    if not found and (common := shares.top(1, lambda word: not is_mark(word))) and common[0][2] > 0:
        word = next(filter(is_common, common[0][:2]))
        reason = f"Only common words, such as “{word.casefold()}”, match."
    return Why(float(shares.shares.sum()) + shares.frame, found, shares.frame, reason, name)


def describe(why: Why, width: int) -> list[str]:
    """The words that make a chunk match, and how much of the score they explain, in lines."""
    from rich.cells import cell_len

    if why.why_no_pairs is not None:
        return [why.why_no_pairs if why.frame is not None else f"No words to show: {why.why_no_pairs}"]
    pairs = [f"{printable(pair.query)} ↔ {printable(pair.chunk)} {pair.share:+.3f}" for pair in why.pairs]
    together = sum(pair.share for pair in why.pairs)
    if together > why.score:
        pairs.append(f"but other pairs take {'some of it' if why.score > 0 else 'more'} away")
    else:
        portion = together / why.score
        pairs.append(f"together {f'{portion:.0%}' if portion >= 0.005 else 'less than 1%'} of the {why.name}")  # noqa: PLR2004
        if portion < _MOST:
            pairs.append("the rest comes from many other pairs")
    lines = [pairs[0]]
    for pair in pairs[1:]:
        if cell_len(f"{lines[-1]}, {pair}") <= width:
            lines[-1] += f", {pair}"
        else:
            lines[-1] += ","
            lines.append(pair)
    return lines
