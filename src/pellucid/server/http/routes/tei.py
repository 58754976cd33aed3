"""The API of text-embeddings-inference: https://huggingface.github.io/text-embeddings-inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from pellucid import __version__
from pellucid.embedder import Embedder
from pellucid.errors import InputError, OptionError
from pellucid.server.core.service import PART
from pellucid.server.http import inputs, outputs
from pellucid.server.http.answers import answer_in_turn, json_answer, rows_answer
from pellucid.server.http.bodies import read
from pellucid.server.http.outputs import TEIFailure, failures
from pellucid.server.http.routes.direct import DirectRoute, post
from pellucid.server.http.serving import (
    check_characters,
    check_count,
    check_ids,
    each_token,
    embedded,
    prepared,
    serving_of,
)
from pellucid.types import Token

router = APIRouter(tags=["text-embeddings-inference"], route_class=DirectRoute)


@post(router, "/", inputs.EmbedBody, outputs.Vectors, TEIFailure, "Turn texts into vectors (as /embed)")
@post(router, "/embed", inputs.EmbedBody, outputs.Vectors, TEIFailure, "Turn texts into vectors")
async def embed(request: Request) -> Response:
    """The vectors of texts, in their order."""
    body = await read(request, inputs.EmbedBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    _check_side(service.embedder, body.truncation_direction)
    ready = await prepared(serving, request, service, body.inputs, prompt_name=body.prompt_name, truncate=body.truncate)
    vectors = await embedded(serving, request, service, ready, normalize=body.normalize, dimensions=body.dimensions)
    return await rows_answer(request, vectors, lambda start, stop: vectors[start:stop].tolist(), ready.headers())


@post(router, "/embed_all", inputs.EmbedAllBody, outputs.TokenVectors, TEIFailure, "A vector for each token")
async def embed_all(request: Request) -> Response:
    """The last hidden state of the encoder: a vector for each token of each text, special tokens included."""
    body = await read(request, inputs.EmbedAllBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    _check_side(service.embedder, body.truncation_direction)
    ready = await prepared(serving, request, service, body.inputs, prompt_name=body.prompt_name, truncate=body.truncate)
    count, most = len(ready.tokens.ids), serving.settings.limits.answered_tokens
    if count > most:
        raise InputError(f"{count:,} tokens are too many for a vector of each; at most {most:,}. Send fewer texts.")
    found = await each_token(serving, request, service, ready)
    if not len(found):
        return json_answer([], ready.headers())
    each = list(found)

    def values(start: int, stop: int) -> list[Any]:
        return [rows.tolist() for rows in each[start:stop]]

    return await rows_answer(request, found.vectors, values, ready.headers(), count=len(each))


@post(router, "/similarity", inputs.SimilarityBody, outputs.Similarities, TEIFailure, "How close one text is to others")
async def similarity(request: Request) -> Response:
    """The cosine of one text with each of others."""
    body = await read(request, inputs.SimilarityBody)
    options = body.parameters or inputs.SimilarityParameters()
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    _check_side(service.embedder, options.truncation_direction)
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    ready = await prepared(serving, request, service, texts, prompt_name=options.prompt_name, truncate=options.truncate)
    vectors = await embedded(serving, request, service, ready, normalize=True)
    return json_answer((vectors[1:] @ vectors[0]).tolist(), ready.headers())


@post(router, "/tokenize", inputs.TokenizeBody, outputs.Tokens, TEIFailure, "Cut texts into tokens")
async def tokenize(request: Request) -> Response:
    """The tokens of texts, cut to what the model reads. ``start`` and ``stop`` count characters of prompt and text."""
    body = await read(request, inputs.TokenizeBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    embedder = service.embedder
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    check_count(texts, serving.settings.limits.texts)
    check_characters(texts, serving.settings.limits.characters)
    prompt = embedder.prompt_named(body.prompt_name)

    def values(part: Sequence[str]) -> list[list[dict[str, Any]]]:
        seen = [embedder.tokenizer.inspect(text, prompt).tokens for text in part]
        return [[_seen(t) for t in tokens if body.add_special_tokens or t.kind != "special"] for tokens in seen]

    return await answer_in_turn(request, service, texts, PART, values)


@post(router, "/decode", inputs.DecodeBody, outputs.Texts, TEIFailure, "Tokens back to text")
async def decode(request: Request) -> Response:
    """What token ids spell."""
    body = await read(request, inputs.DecodeBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    embedder = service.embedder
    sequences = [body.ids] if isinstance(body.ids[0], int) else body.ids
    check_count(sequences, serving.settings.limits.texts)
    check_ids(sequences, serving.settings.limits.characters)
    vocabulary = embedder.spec.encoder.vocab_size

    def values(part: Sequence[list[int]]) -> list[str]:
        for ids in part:
            if max(ids) >= vocabulary:
                position = next(place for place, one in enumerate(sequences) if one is ids)
                raise InputError(
                    f"list {position} has an id that the model does not know: the last is {vocabulary - 1}."
                )
        return [embedder.tokenizer.decode(ids, skip_special=body.skip_special_tokens) for ids in part]

    return await answer_in_turn(request, service, sequences, PART, values)


@router.get(
    "/info", response_model=outputs.Info, responses=failures(TEIFailure, 401, 503), summary="What is served here"
)
async def info(request: Request) -> Response:
    """The first model, and the limits."""
    serving = serving_of(request)
    service = await serving.models.get(None)
    embedder, limits = service.embedder, serving.settings.limits
    told = {
        "model_id": serving.models.find(None).name,
        "model_sha": embedder.files.revision,
        "model_dtype": serving.settings.dtype,
        "model_type": {"embedding": {"pooling": " + ".join(embedder.spec.pooling.modes)}},
        "max_concurrent_requests": limits.waiting_tokens,
        "max_input_length": embedder.max_tokens,
        "max_batch_tokens": limits.tokens_per_call,
        "max_client_batch_size": limits.texts,
        "auto_truncate": serving.settings.on_truncation == "cut",
        "tokenization_workers": 1,
        "version": __version__,
        "dimensions": embedder.dimensions,
    }
    return json_answer(told)


def _seen(token: Token) -> dict[str, Any]:
    special = token.kind == "special"
    return {
        "id": token.id,
        "text": token.piece,
        "special": special,
        "start": None if special else token.start,
        "stop": None if special else token.end,
    }


def _check_side(embedder: Embedder, side: str | None) -> None:
    own = embedder.spec.tokenizer.truncation_side
    if side is not None and side.lower() != own:
        raise OptionError(f"truncation_direction must be {own.capitalize()!r}, which is the model's own.")
