"""The queries of inference-free models: each token that a query has counts with a weight from a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pellucid.layers.lexical import largest_weights
from pellucid.sparse_vectors import SparseVectors
from pellucid.text.checks import check_texts
from pellucid.text.templates import TextTemplate
from pellucid.text.tokenizer import Tokenizer
from pellucid.text.truncation import OnTruncation, check_truncation, warn_about_truncation
from pellucid.types import Float32, Int32, TokenBatch, TokenizedText

if TYPE_CHECKING:
    from pellucid.explain.sparse import SparseText

_NO_SPECIALS = TextTemplate(before=np.empty(0, dtype=np.int32), after=np.empty(0, dtype=np.int32))


class QueryTable:
    """Reads the queries of an inference-free model: each token that a query has counts with its own weight.

    No encoder runs, so a query takes no longer than to cut it into tokens (Geng et al., "Towards Competitive Search
    Relevance For Inference-Free Learned Sparse Retrievers", 2024).

    Args:
        tokenizer: cuts queries into tokens. Special tokens do not count.
        weights: ``float32[vocabulary]``, the weight of each token.
        on_truncation: what to do with queries that are too long.
    """

    def __init__(self, tokenizer: Tokenizer, weights: Float32, on_truncation: OnTruncation) -> None:
        self._tokenizer = tokenizer
        self._weights = weights
        self._on_truncation: OnTruncation = on_truncation

    def __repr__(self) -> str:
        return f"QueryTable(vocabulary of {len(self._weights):,}, at most {self.max_tokens:,} tokens)"

    def embed_query(self, text: str, *, prompt: str, max_active_dims: int | None = None) -> SparseVectors:
        """The weights of a query's tokens; its errors are those of :meth:`pellucid.SparseEmbedder.embed_query`."""
        tokens, counts = self.tokenize([text], prompt)
        limit = self.max_tokens
        warn_about_truncation(check_truncation(counts, limit, self._on_truncation, 0), limit, self._on_truncation)
        return self.embed_tokens(tokens, max_active_dims)

    @property
    def max_tokens(self) -> int:
        """How many tokens of a query are read. A longer query is truncated."""
        return self._tokenizer.max_tokens

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Callable[[], object] = lambda: None
    ) -> tuple[TokenBatch, Int32]:
        """Cut queries into tokens, without special tokens; see :meth:`pellucid.text.tokenizer.Tokenizer.tokenize`."""
        check_texts(texts, first=first)
        plain = self._tokenizer.tokenize_plain([prompt + text for text in texts], first=first, check=check)
        keep_end = self._tokenizer.spec.truncation_side == "left"
        return _NO_SPECIALS.apply(plain, self.max_tokens, keep_end=keep_end), plain.lengths

    def inspect(self, text: str, prompt: str = "") -> TokenizedText:
        """The tokens of a query, special tokens included; see :meth:`pellucid.text.tokenizer.Tokenizer.inspect`."""
        return self._tokenizer.inspect(text, prompt)

    def embed_tokens(self, tokens: TokenBatch, max_active_dims: int | None = None) -> SparseVectors:
        """The weights of the tokens of each query."""
        return largest_weights(tokens, self._weights[tokens.ids], len(self._weights), max_active_dims)

    def explain_text(self, text: str, *, prompt: str) -> SparseText:
        """The terms of a query; each is raised by itself."""
        from pellucid.explain.sparse import SparseText, Term

        read = self.inspect(text, prompt)
        places = {token.id: place for place, token in reversed(list(enumerate(read.tokens))) if token.kind != "special"}
        found = [
            Term(token_id, read.tokens[place].piece, float(self._weights[token_id]), place)
            for token_id, place in places.items()
            if self._weights[token_id] != 0
        ]
        terms = tuple(sorted(found, key=lambda term: (-term.weight, term.id)))
        return SparseText(prompt, text, read.tokens, len(read.cut), terms)
