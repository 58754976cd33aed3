"""What all requests with texts share: limits, the texts as tokens, and running the model on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from fastapi import Request

from pellucid.encoder.encoder import Encoder
from pellucid.errors import InputError, InvalidModelError, TextError, VectorNotFiniteError
from pellucid.layers.finish import Finish
from pellucid.server.core.service import Service
from pellucid.server.http.serving import reservation_of, serving_of, wait_or_cancel
from pellucid.text.sides import Side
from pellucid.text.truncation import Truncation
from pellucid.types import Int32, TokenBatch

T = TypeVar("T")
NUMBER_BYTES = 32
"""The memory that one number takes: twice in vectors, and once, as digits, in the response."""


@dataclass(frozen=True)
class TokenizedTexts:
    """The texts of a request as tokens.

    Attributes:
        tokens: the tokens of all texts.
        counts: how many tokens each text had before it was cut, ``int32[n]``.
        max_tokens: how many tokens the model reads.
        prompt_tokens: how many tokens at the start of each text belong to the prompt.
        side: what the texts are. Some models read queries in a way of their own.
    """

    tokens: TokenBatch
    counts: Int32
    max_tokens: int
    prompt_tokens: int = 0
    side: Side = "document"

    def headers(self) -> dict[str, str]:
        """The response headers that tell the client if texts were cut."""
        return truncation_headers(self)

    def part(self, start: int, stop: int) -> TokenizedTexts:
        """The texts from ``start`` up to, but not including, ``stop``."""
        return replace(self, tokens=self.tokens.part(start, stop), counts=self.counts[start:stop])

    def cut_positions(self) -> frozenset[int]:
        """The positions of the texts that were cut."""
        return frozenset(np.flatnonzero(self.counts > self.max_tokens).tolist())


def truncation_headers(*requests: TokenizedTexts) -> dict[str, str]:
    """The response headers that tell the client if any of these texts were cut."""
    found = [
        Truncation.from_counts(texts.counts, texts.max_tokens)
        for texts in requests
        if texts.counts.max(initial=0) > texts.max_tokens
    ]
    if not found:
        return {}
    cut, lost = sum(each.cut for each in found), sum(each.lost for each in found)
    return {"x-pellucid-truncated": f"texts={cut}, tokens={lost}"}


async def run_model(
    request: Request,
    service: Service[Any],
    texts: TokenizedTexts,
    finish: Finish[T],
    numbers: int,
    *,
    number_bytes: int = NUMBER_BYTES,
    encoder: Encoder | None = None,
    first: int = 0,
    is_part: bool = False,
) -> T:
    """Run a model on texts. Nothing more is computed for a client that has left.

    Args:
        request: the request.
        service: the model.
        texts: the texts as tokens.
        finish: turns token vectors into results.
        numbers: how many numbers the results have. Their memory is reserved first.
        number_bytes: the memory that each takes, in the results and in the response.
        encoder: the encoder of the texts, if it is not the task's.
        first: the position of the first text, for messages.
        is_part: True if this is a part of the request's work, which the caller counts as a request.

    Raises:
        VectorNotFiniteError: a result is not finite. The message gives the text's position.
        RequestError: the client has left.
    """
    reservation_of(request).take(4 * len(texts.tokens.ids) + number_bytes * numbers)
    with serving_of(request).models.keep_loaded(service):
        result = await wait_or_cancel(request, service.run(texts.tokens, finish, encoder, is_part=is_part))
    try:
        finish.check(result, lambda row: first + row)
    except InvalidModelError as error:
        raise VectorNotFiniteError(str(error)) from None
    return result


def check_count(items: Sequence[object], limit: int) -> None:
    """Refuse more texts than one request may have.

    Raises:
        InputError: there are too many.
    """
    if len(items) > limit:
        raise InputError(f"{len(items):,} texts are too many for one request. The limit is {limit:,}.")


def check_characters(texts: Sequence[str], limit: int, name: str = "text") -> None:
    """Refuse texts that are far longer than anything a model reads. The tokenizer would work through all of each.

    Args:
        texts: the texts.
        limit: the most characters of a text.
        name: what the message calls them, before the position.

    Raises:
        TextError: a text is too long. The message gives its position.
    """
    for position, text in enumerate(texts):
        check_length(text, limit, f"{name} {position}")


def check_length(text: str, limit: int, name: str) -> None:
    """The same for one text, which the message calls ``name``."""
    if len(text) > limit:
        raise TextError(f"{name} has {len(text):,} characters, but this server reads at most {limit:,}. Split it.")
