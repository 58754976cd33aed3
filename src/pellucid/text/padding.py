"""Padding at the end of a text, which some models do not read even where the text itself has it."""

from __future__ import annotations

import dataclasses

from pellucid.types import Runs, TokenBatch


def without_padding(tokens: TokenBatch, padding_id: int) -> TokenBatch:
    """Leave out the tokens with this id at the end of each text, but never all tokens of a text.

    The decoders that transformers gives a classification head read the last token with another id.

    >>> batch = TokenBatch.from_sequences([[5, 0, 6, 0, 0], [0, 0]])
    >>> [ids.tolist() for ids in without_padding(batch, 0)]
    [[5, 0, 6], [0]]
    """
    kept = tokens.lengths
    starts = tokens.offsets[:-1]
    while len(tokens.ids) and (ends_in_padding := (kept > 1) & (tokens.ids[starts + kept - 1] == padding_id)).any():
        kept = kept - ends_in_padding
    if (kept == tokens.lengths).all():
        return tokens
    runs = Runs(starts, kept)
    segments = None if tokens.segments is None else runs.gather(tokens.segments)
    return dataclasses.replace(tokens, ids=runs.gather(tokens.ids), offsets=runs.offsets, segments=segments)
