"""The API of text-embeddings-inference (TEI): https://huggingface.github.io/text-embeddings-inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from pellucid import __version__
from pellucid.embedder import Embedder
from pellucid.errors import InputError, OptionError
from pellucid.server.core.service import PART_CHARACTERS
from pellucid.server.http import embedding, inputs, outputs
from pellucid.server.http.answers import json_response, list_response, tokenizer_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embedding import tokenize_input
from pellucid.server.http.outputs import TEIFailure, error_responses
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.serving import serving_of
from pellucid.types import Token, describe_wrong_id

router = APIRouter(tags=["text-embeddings-inference"], route_class=DirectRoute)


@post_route(router, "/", inputs.EmbedBody, outputs.Vectors, TEIFailure, "Turn texts into vectors, as `/embed` does")
@post_route(router, "/embed", inputs.EmbedBody, outputs.Vectors, TEIFailure, "Turn texts into vectors")
async def embed(request: Request) -> Response:
    """One vector for each text, in the texts' order."""
    body = await read_body(request, inputs.EmbedBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    _check_direction(service.embedder, body.truncation_direction)
    texts = await tokenize_input(
        serving, request, service, body.inputs, prompt_name=body.prompt_name, truncate=body.truncate, model=body.model
    )
    vectors = await embedding.embed(
        serving, request, service, texts, normalize=body.normalize, dimensions=body.dimensions
    )
    return await list_response(request, vectors, lambda start, stop: vectors[start:stop].tolist(), texts.headers())


@post_route(
    router, "/embed_all", inputs.EmbedAllBody, outputs.TokenVectors, TEIFailure, "Turn each token into a vector"
)
async def embed_all(request: Request) -> Response:
    """The encoder's last hidden state: a vector for each token of each text, special tokens included."""
    body = await read_body(request, inputs.EmbedAllBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    _check_direction(service.embedder, body.truncation_direction)
    texts = await tokenize_input(
        serving, request, service, body.inputs, prompt_name=body.prompt_name, truncate=body.truncate, model=body.model
    )
    count, limit = len(texts.tokens.ids), serving.settings.limits.answered_tokens
    if count > limit:
        raise InputError(
            f"the texts have {count:,} tokens, but one response has vectors for at most {limit:,}. Send fewer texts."
        )
    vectors = await embedding.embed_tokens(serving, request, service, texts)
    if not len(vectors):
        return json_response([], texts.headers())
    arrays = list(vectors)

    def values(start: int, stop: int) -> list[Any]:
        return [array.tolist() for array in arrays[start:stop]]

    return await list_response(request, vectors.vectors, values, texts.headers(), count=len(arrays))


@post_route(
    router,
    "/similarity",
    inputs.SimilarityBody,
    outputs.Similarities,
    TEIFailure,
    "Measure how similar a text is to others",
)
async def similarity(request: Request) -> Response:
    """The cosine of the source sentence with each of the other sentences."""
    body = await read_body(request, inputs.SimilarityBody)
    options = body.parameters or inputs.SimilarityParameters()
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    _check_direction(service.embedder, options.truncation_direction)
    sentences = [body.inputs.source_sentence, *body.inputs.sentences]
    texts = await tokenize_input(
        serving, request, service, sentences, prompt_name=options.prompt_name, truncate=options.truncate
    )
    vectors = await embedding.embed(serving, request, service, texts, normalize=True)
    return json_response((vectors[1:] @ vectors[0]).tolist(), texts.headers())


@post_route(router, "/tokenize", inputs.TokenizeBody, outputs.Tokens, TEIFailure, "Split texts into tokens")
async def tokenize(request: Request) -> Response:
    """The tokens of each text, up to what the model reads. `start` and `stop` count characters of prompt and text."""
    body = await read_body(request, inputs.TokenizeBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    embedder = service.embedder
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    embedding.check_count(texts, serving.settings.limits.texts)
    embedding.check_characters(texts, serving.settings.limits.characters)
    prompt = embedder.prompt_named(body.prompt_name)

    def values(part: Sequence[str]) -> list[list[dict[str, Any]]]:
        token_lists = [embedder.tokenizer.inspect(text, prompt).tokens for text in part]
        return [
            [_token_info(token) for token in tokens if body.add_special_tokens or token.kind != "special"]
            for tokens in token_lists
        ]

    return await tokenizer_response(request, service, texts, PART_CHARACTERS, values)


@post_route(router, "/decode", inputs.DecodeBody, outputs.Texts, TEIFailure, "Turn token ids back into texts")
async def decode(request: Request) -> Response:
    """One text for each list of token ids."""
    body = await read_body(request, inputs.DecodeBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    embedder = service.embedder
    sequences = [body.ids] if isinstance(body.ids[0], int) else body.ids
    embedding.check_count(sequences, serving.settings.limits.texts)
    embedding.check_ids(sequences, serving.settings.limits.characters)
    vocabulary = embedder.spec.encoder.vocab_size

    def values(part: Sequence[list[int]]) -> list[str]:
        for ids in part:
            if max(ids) >= vocabulary:
                position = next(index for index, sequence in enumerate(sequences) if sequence is ids)
                raise InputError(describe_wrong_id(f"list {position}", max(ids), vocabulary))
        return [embedder.tokenizer.decode(ids, skip_special=body.skip_special_tokens) for ids in part]

    return await tokenizer_response(request, service, sequences, PART_CHARACTERS, values)


@router.get(
    "/info",
    response_model=outputs.Info,
    responses=error_responses(TEIFailure, 401, 503),
    summary="Describe the first model and the limits",
)
async def info(request: Request) -> Response:
    """The model that answers requests without a model name, and this server's limits."""
    serving = serving_of(request)
    service = await serving.models.get(None)
    embedder, limits = service.embedder, serving.settings.limits
    description = {
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
    return json_response(description)


def _token_info(token: Token) -> dict[str, Any]:
    special = token.kind == "special"
    return {
        "id": token.id,
        "text": token.piece,
        "special": special,
        "start": None if special else token.start,
        "stop": None if special else token.end,
    }


def _check_direction(embedder: Embedder, direction: str | None) -> None:
    """Refuse to cut texts at another end than the model does."""
    own = embedder.spec.tokenizer.truncation_side
    if direction is not None and direction.lower() != own:
        raise OptionError(f"truncation_direction must be {own.capitalize()!r}, the end at which this model cuts texts.")
