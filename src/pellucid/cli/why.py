"""What ``pellucid search --why`` says of a hit: the words that make it match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pellucid.common_words import is_common
from pellucid.errors import printable

if TYPE_CHECKING:
    from pellucid.embedder import Embedder
    from pellucid.explain.words import WordShares

_WORD_PAIRS = 4
_MOST = 0.5
"""Pairs that add a smaller part of the cosine than this leave most of it to others."""


@dataclass(frozen=True)
class WordPair:
    """A word of the query, a word of the chunk, and how much the two add to the cosine."""

    query: str
    chunk: str
    share: float


@dataclass(frozen=True)
class Why:
    """Why a chunk matches.

    Attributes:
        cosine: the cosine of query and chunk.
        pairs: the pairs of words that add most to it, without words such as "the".
        frame: what special tokens and prompts add to it; None if the cosine is no sum over tokens.
        why_no_pairs: the reason if there are no pairs; otherwise None.
    """

    cosine: float
    pairs: tuple[WordPair, ...]
    frame: float | None
    why_no_pairs: str | None

    def to_dict(self) -> dict[str, Any]:
        """The same, for JSON."""
        return asdict(self)


def explain(embedder: Embedder, query: str, chunks: Sequence[str], cosines: Sequence[float]) -> list[Why]:
    """Find the pairs of words that add most to the cosine of a query and each chunk.

    Args:
        embedder: the model of the index.
        query: the query.
        chunks: the chunks.
        cosines: the cosine of each, for a model whose cosines are no sums over tokens.
    """
    from pellucid.explain.document_shares import document_shares, why_no_word_shares

    if reason := why_no_word_shares(embedder.encoder):
        return [Why(cosine, (), None, reason) for cosine in cosines]
    documents = [(chunk, embedder.document_prompt) for chunk in chunks]
    return [_explain(shares) for shares in document_shares(embedder.encoder, (query, embedder.query_prompt), documents)]


def _explain(shares: WordShares) -> Why:
    from pellucid.explain.words import is_mark

    pairs = shares.top(_WORD_PAIRS, lambda word: not (is_mark(word) or is_common(word)))
    found = tuple(WordPair(*pair) for pair in pairs if pair[2] > 0)
    reason = None if found else "No pair of words adds to the cosine."
    if not found and (common := shares.top(1, lambda word: not is_mark(word))) and common[0][2] > 0:
        word = next(filter(is_common, common[0][:2]))
        reason = f"Only common words, such as “{word.casefold()}”, match."
    return Why(float(shares.shares.sum()) + shares.frame, found, shares.frame, reason)


def describe(why: Why, width: int) -> list[str]:
    """The words that make a chunk match, and how much of the cosine they explain, in lines."""
    from rich.cells import cell_len

    if why.why_no_pairs is not None:
        return [why.why_no_pairs if why.frame is not None else f"No words to show: {why.why_no_pairs}"]
    pairs = [f"{printable(pair.query)} ↔ {printable(pair.chunk)} {pair.share:+.3f}" for pair in why.pairs]
    together = sum(pair.share for pair in why.pairs)
    if together > why.cosine:
        pairs.append(f"but other pairs take {'some of it' if why.cosine > 0 else 'more'} away")
    else:
        portion = together / why.cosine
        pairs.append(f"together {f'{portion:.0%}' if portion >= 0.005 else 'less than 1%'} of the cosine")  # noqa: PLR2004
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
