"""How late interaction reads queries and documents: each up to its own limit, and short queries filled up."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

from pellucid.errors import InvalidModelError, OptionError
from pellucid.model.spec import LateInteractionSpec
from pellucid.sources.files import ModelFiles
from pellucid.text.expansion import expand, expansion_token
from pellucid.text.tokenizer import Tokenizer
from pellucid.types import Int32, Token, TokenBatch

Side = Literal["query", "document"]
"""What a text is."""
AnySide = Literal["query", "document", "text"]
"""The same; or "text", which is read like a document, but as far as the model can."""


class SideTokenizers:
    """A tokenizer for each kind of text, and the tokens that fill up short queries.

    Args:
        files: the model's files.
        tokenizer: the model's own tokenizer. The others differ from it in the limit alone.
        spec: what the model does with queries and documents.
        most_tokens: how many tokens the encoder reads.
        keep_limit: True if documents are read up to the limit of ``tokenizer``, whatever the model's files say.

    Raises:
        InvalidModelError: a limit leaves no room for a token; or the vocabulary lacks the token that fills up queries,
            or the encoder reads fewer tokens.
    """

    def __init__(
        self,
        files: ModelFiles,
        tokenizer: Tokenizer,
        spec: LateInteractionSpec,
        most_tokens: int,
        *,
        keep_limit: bool,
    ) -> None:
        self._expansion = expansion = spec.expansion
        self._fill = 0
        if expansion is not None:
            if expansion.length > most_tokens:
                raise InvalidModelError(
                    f"{files.name}: queries are filled up to {expansion.length} tokens, but the encoder reads at most "
                    f"{most_tokens}."
                )
            self._fill = expansion_token(files, tokenizer, expansion.token)
        query = expansion.length if expansion is not None and expansion.fixed else spec.query_length
        document = None if keep_limit else spec.document_length
        limits: dict[AnySide, int | None] = {"query": query, "document": document, "text": None}
        self._by_side = {
            side: tokenizer if limit is None else _limited(files, tokenizer, side, min(limit, most_tokens))
            for side, limit in limits.items()
        }

    def __getitem__(self, side: AnySide) -> Tokenizer:
        """The tokenizer for texts of this kind. It does not fill up queries."""
        return self._by_side[side]

    def max_tokens(self, side: AnySide) -> int:
        """How many tokens of such a text are read, special tokens included."""
        return self._by_side[side].spec.max_tokens

    def tokenize(self, texts: Sequence[str], prompt: str, side: AnySide, *, first: int = 0) -> tuple[TokenBatch, Int32]:
        """Cut texts into tokens, and fill up queries. The counts, ``int32[n]``, are those before both.

        The arguments and errors are those of :meth:`pellucid.text.tokenizer.Tokenizer.tokenize`.
        """
        tokens, counts = self._by_side[side].tokenize(texts, prompt, first=first)
        return self.fill_up(tokens, side), counts

    def fill_up(self, tokens: TokenBatch, side: AnySide) -> TokenBatch:
        """Fill up texts with tokens, if they are queries and the model does that."""
        if side != "query" or self._expansion is None:
            return tokens
        return expand(tokens, self._fill, self._expansion)

    def filling(self, count: int, place: int) -> list[Token]:
        """Tokens that fill up a query, ``count`` of them, behind its last character."""
        return [Token(self._fill, self._by_side["query"].piece(self._fill), place, place, "special", False)] * count


def _limited(files: ModelFiles, tokenizer: Tokenizer, side: AnySide, limit: int) -> Tokenizer:
    limited = copy.copy(tokenizer)
    if limit != tokenizer.spec.max_tokens:
        try:
            limited.limit(limit)
        except OptionError as error:
            raise InvalidModelError(f"{files.name}: a {side}_length of {limit} leaves no room for a token.") from error
    return limited
