"""Query expansion: short queries are filled up with tokens that get vectors too (Khattab and Zaharia, 2020)."""

from __future__ import annotations

import numpy as np

from pellucid.errors import InvalidModelError
from pellucid.model.spec import ExpansionSpec
from pellucid.model.special_tokens import named_tokens
from pellucid.sources.files import ModelFiles
from pellucid.text.tokenizer import Tokenizer
from pellucid.types import TokenBatch

_USUAL_MASKS = ("[MASK]", "<mask>")


def expansion_token(files: ModelFiles, tokenizer: Tokenizer, token: str | None) -> int:
    """The id of the token that fills up queries.

    Args:
        files: the model's files.
        tokenizer: its tokenizer.
        token: the token's spelling; None for the mask token, or else for the token at a text's end.

    Raises:
        InvalidModelError: the vocabulary does not have it.
    """
    if token is not None:
        names = [token]
    else:
        masks, ends = (named_tokens(files, tokenizer.spec.folder, key) for key in ("mask_token", "eos_token"))
        names = [*masks, *_USUAL_MASKS, *ends]
    for name in names:
        if (token_id := tokenizer.token_id(name)) is not None:
            return token_id
    what = "no mask token" if token is None else f"no token {token!r:.80}"
    raise InvalidModelError(f"{files.name}: queries are filled up with a token, but the vocabulary has {what}.")


def expand(tokens: TokenBatch, token_id: int, expansion: ExpansionSpec) -> TokenBatch:
    """Fill up texts that have less than ``expansion.length`` tokens."""
    lengths = tokens.lengths
    new_lengths = np.maximum(lengths, expansion.length)
    offsets = np.cumsum(np.append(0, new_lengths), dtype=np.int32)
    ids = np.full(offsets[-1], token_id, dtype=np.int32)
    places = np.arange(len(tokens.ids)) + np.repeat(offsets[:-1] - tokens.offsets[:-1], lengths)
    ids[places] = tokens.ids
    segments = None
    if tokens.segments is not None:
        segments = np.zeros(len(ids), dtype=np.int8)
        segments[places] = tokens.segments
    if expansion.attend or (lengths == new_lengths).all():
        return TokenBatch(ids, offsets, segments)
    # A text without tokens has nothing to look at but what it was filled with.
    return TokenBatch(ids, offsets, segments, np.where(lengths > 0, lengths, new_lengths).astype(np.int32))
