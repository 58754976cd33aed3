"""From the texts of a request to scores or logits: check them, turn them into tokens, and run the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from fastapi import Request

from pellucid.engines.reference import softmax
from pellucid.errors import InputError, OptionError, TextError
from pellucid.layers.activations import sigmoid
from pellucid.scoring import Pair, ScoringTask
from pellucid.server.core.service import Service, check_lengths
from pellucid.server.http.serving import reservation_of, serving_of, wait_or_cancel
from pellucid.server.http.texts import TokenizedTexts, check_characters, check_count, check_length, run_model
from pellucid.text.checks import counting_limit
from pellucid.types import Float32, Int32, TokenBatch

Result = TypeVar("Result")

_SHORT_PAIRS = 500
"""Up to this many pairs are joined on the event loop, which takes some milliseconds. More go to a thread."""
MODEL_LIMIT = -1
"""In vLLM's ``truncate_prompt_tokens``: the model's own limit."""
SCORES: dict[str, Callable[[Float32], Float32]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": lambda logits: logits,
}
"""What turns logits into scores, by the names that huggingface_hub uses."""
_ID_BYTES = 4
_CHARACTER_BYTES = 4
_PREDICTION_BYTES = 100
"""The memory that a label and its score take in a response."""


@dataclass(frozen=True)
class PairLimits:
    """How much of each pair to read.

    Attributes:
        cut: cut pairs that are too long; False refuses them.
        pair_tokens: the most tokens of a pair; None or ``MODEL_LIMIT`` for the model's own limit.
        second_tokens: the most tokens of a second text; None for no limit.
    """

    cut: bool = True
    pair_tokens: int | None = None
    second_tokens: int | None = None


@dataclass(frozen=True)
class Scored:
    """The scores of pairs.

    Attributes:
        scores: ``float32[n]``.
        tokens: how many tokens went through the model.
        headers: the response headers that tell the client if texts were cut.
    """

    scores: Float32
    tokens: int
    headers: dict[str, str]


def check_documents(request: Request, query: str, documents: Sequence[str], name: str) -> list[Pair]:
    """A query with each document as a pair, after checking them against the server's limits.

    Args:
        request: the request.
        query: the query.
        documents: the documents.
        name: what messages call a document, before its position.

    Raises:
        InputError: there are too many documents, or a text is too long. The message gives its position.
    """
    limits = serving_of(request).settings.limits
    check_count(documents, limits.texts)
    check_length(query, limits.characters, "the query")
    check_characters(documents, limits.characters, name)
    return [(query, document) for document in documents]


def check_pairs(
    request: Request, firsts: str | list[str], seconds: str | list[str], names: tuple[str, str]
) -> list[Pair]:
    """Each first text with its second one, after checking them against the server's limits. One goes with each of many.

    ``names`` is what messages call them, before a position. The errors are those of :func:`check_documents`.
    """
    limits = serving_of(request).settings.limits
    first_list, second_list = ([each] if isinstance(each, str) else each for each in (firsts, seconds))
    for texts, name in zip((first_list, second_list), names, strict=True):
        check_count(texts, limits.texts)
        check_characters(texts, limits.characters, name)
    if len(first_list) not in (1, len(second_list)):
        raise InputError(
            f"there are {len(first_list):,} texts in {names[0]} and {len(second_list):,} in {names[1]}. Send as many "
            f"in both, or a single one in {names[0]}."
        )
    if len(first_list) == 1:
        first_list = first_list * len(second_list)
    pairs = list(zip(first_list, second_list, strict=True))
    for position, (first, second) in enumerate(pairs):
        if not first and not second:
            raise TextError(f"both texts of pair {position} are empty. Leave it out.")
    return pairs


async def score(
    request: Request, service: Service[ScoringTask], pairs: list[Pair], limits: PairLimits, *, raw: bool | None
) -> Scored:
    """Score pairs with a reranker.

    Args:
        request: the request.
        service: the model.
        pairs: at least one pair.
        limits: how much of each to read.
        raw: return logits instead of scores between 0 and 1.

    Returns:
        Scores that are a sigmoid of the logits, whatever activation the model's files name.

    Raises:
        OptionError, TruncationError: a limit cannot be used, or a pair is too long and must not be cut.
        VectorNotFiniteError: a logit is not finite.
    """
    if not limits.cut and limits.pair_tokens not in (None, MODEL_LIMIT):
        raise OptionError(
            'Send "truncate": false or truncate_prompt_tokens, not both: one forbids what the other asks for.'
        )
    most = _most_tokens(service.task, limits.pair_tokens)
    tokens, counts = await _tokenize_pairs(request, service, pairs, replace(limits, pair_tokens=most))
    if not limits.cut:
        check_lengths(counts, service.task.max_tokens, unit="pair")
    texts = TokenizedTexts(tokens, counts, most)
    logits = (await run_model(request, service, texts, service.task.finish, len(pairs)))[:, 0]
    return Scored(logits if raw else sigmoid(logits), len(texts.tokens.ids), texts.headers())


async def classify(
    request: Request, service: Service[ScoringTask], items: list[list[str]], *, cut: bool
) -> tuple[Float32, TokenizedTexts]:
    """The logits of texts and of pairs of texts, ``float32[n, labels]``, and their tokens.

    Args:
        request: the request.
        service: the model.
        items: lists of one text or two.
        cut: cut those that are too long, instead of refusing them.

    Raises:
        InputError: there are too many, or one is empty or too long. The message gives its position.
    """
    limits = serving_of(request).settings.limits
    check_count(items, limits.texts)
    for position, item in enumerate(items):
        if not any(item):
            raise TextError(f"text {position} is empty. Leave it out.")
        for text in item:
            check_length(text, limits.characters, f"text {position}")
    singles = [position for position, item in enumerate(items) if len(item) == 1]
    doubles = [position for position, item in enumerate(items) if len(item) > 1]
    parts: list[tuple[TokenBatch, Int32]] = []
    if singles:
        alone = [items[position][0] for position in singles]
        if service.task.tokenizer.chat is None:
            tokenizing = service.tokenize(alone, service.task.prompt_named(None), cut=True)
            parts.append(await wait_or_cancel(request, tokenizing))
        else:
            parts.append(await _tokenize_pairs(request, service, alone, PairLimits()))
    if doubles:
        pairs = [(items[position][0], items[position][1]) for position in doubles]
        parts.append(await _tokenize_pairs(request, service, pairs, PairLimits()))
    order = np.argsort(np.array(singles + doubles))
    tokens = TokenBatch.join([tokens for tokens, _ in parts]).select(order)
    texts = TokenizedTexts(tokens, np.concatenate([counts for _, counts in parts])[order], service.task.max_tokens)
    if not cut:
        check_lengths(texts.counts, service.task.max_tokens)
    numbers = len(items) * len(service.task.head.labels)
    finish = service.task.finish
    return await run_model(request, service, texts, finish, numbers, number_bytes=_PREDICTION_BYTES), texts


async def _tokenize_pairs(
    request: Request, service: Service[ScoringTask], pairs: list[Pair] | list[str], limits: PairLimits
) -> tuple[TokenBatch, Int32]:
    """Turn pairs into tokens. Each different text is tokenized once. Returns how many tokens each pair had, too.

    If the model has a chat template, it may also be texts.
    """
    task, reservation = service.task, reservation_of(request)

    async def run(work: Callable[[], Result]) -> Result:
        if len(pairs) <= _SHORT_PAIRS:
            return work()
        return await wait_or_cancel(request, service.run_in_tokenizer(lambda _: work(), 0))

    chat = task.spec.tokenizer.chat
    rendered = 0  # A chat template repeats the query for each document.
    if chat is not None:
        characters = sum(len(each) if isinstance(each, str) else sum(map(len, each)) for each in pairs)
        rendered = _CHARACTER_BYTES * (characters + len(chat.template) * len(pairs))
    reservation.take(rendered)
    prompt = task.prompt_named(None)
    prepared = await run(lambda: task.prepare(pairs, prompt, max_second_tokens=limits.second_tokens))
    most = counting_limit(task.max_tokens)
    reserved = _ID_BYTES * sum(min(len(text), most) for text in prepared.texts)
    reservation.take(reserved)
    plain = await wait_or_cancel(request, service.tokenize_plain(prepared.texts))
    joined = await run(lambda: task.join(prepared, plain, max_tokens=limits.pair_tokens))
    reservation.give_back(reserved + rendered)
    return joined


def _most_tokens(task: ScoringTask, asked: int | None) -> int:
    """How many tokens of a pair to read if the request asks for this many."""
    least = task.least_tokens
    if asked is None or asked == MODEL_LIMIT:
        return task.max_tokens
    if asked < least:
        raise OptionError(f"Send truncate_prompt_tokens of at least {least}: {asked} leaves no room for two texts.")
    return min(asked, task.max_tokens)
