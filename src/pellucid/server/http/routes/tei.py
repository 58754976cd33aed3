"""The API of text-embeddings-inference (TEI): https://huggingface.github.io/text-embeddings-inference."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from fastapi import APIRouter, Request, Response

from pellucid import __version__
from pellucid.classifier import Classifier
from pellucid.embedder import Embedder
from pellucid.errors import InputError, OptionError
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import AutoEncoderSpec
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.scoring import ScoringTask
from pellucid.server.core.service import PART_CHARACTERS, Service
from pellucid.server.http import embedding, inputs, outputs
from pellucid.server.http.answers import json_response, list_response, tokenizer_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embedding import AnyEmbedder, tokenize_input
from pellucid.server.http.late_interaction import check_answered_tokens, embed_each_token
from pellucid.server.http.outputs import TEIFailure, error_responses
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.scoring import SCORES, classify
from pellucid.server.http.scoring_inputs import PredictBody, PredictParameters
from pellucid.server.http.serving import find_service, serving_of
from pellucid.server.http.texts import TokenizedTexts, check_characters, check_count
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.task import Task
from pellucid.types import Token, describe_wrong_id

router = APIRouter(tags=["text-embeddings-inference"], route_class=DirectRoute)


@post_route(router, "/", inputs.EmbedBody, outputs.Vectors, TEIFailure, "Turn texts into vectors, as `/embed` does")
@post_route(router, "/embed", inputs.EmbedBody, outputs.Vectors, TEIFailure, "Turn texts into vectors")
async def embed(request: Request) -> Response:
    """One vector for each text, in the texts' order."""
    body = await read_body(request, inputs.EmbedBody)
    service = await find_service(request, body.model, Embedder)
    texts = await _tokenize(request, service, body)
    vectors = await embedding.embed(request, service, texts, normalize=body.normalize, dimensions=body.dimensions)
    return await list_response(request, vectors, lambda start, stop: vectors[start:stop].tolist(), texts.headers())


@post_route(
    router, "/embed_all", inputs.EmbedAllBody, outputs.TokenVectors, TEIFailure, "Turn each token into a vector"
)
async def embed_all(request: Request) -> Response:
    """A multi-vector model's own vectors of each text, or the vectors of all tokens that an embedder pools.

    A multi-vector model reads texts as documents. With `prompt_name` or `input_type` `query`, it reads them as queries.
    """
    body = await read_body(request, inputs.EmbedAllBody)
    service: Service[Any] = await find_service(request, body.model, MultiVectorEmbedder, Embedder)
    texts = await _tokenize(request, service, body)
    check_answered_tokens(request, texts)
    is_own = isinstance(service.task, MultiVectorEmbedder)
    embed_texts = embed_each_token if is_own else embedding.embed_tokens
    vectors = await embed_texts(request, service, texts)
    arrays = list(vectors)

    def values(start: int, stop: int) -> list[Any]:
        return [array.tolist() for array in arrays[start:stop]]

    return await list_response(request, vectors.vectors, values, texts.headers(), count=len(arrays))


@post_route(
    router,
    "/embed_sparse",
    inputs.EmbedSparseBody,
    outputs.SparseEmbeddings,
    TEIFailure,
    "Turn texts into sparse vectors",
)
async def embed_sparse(request: Request) -> Response:
    """The numbers of each text's vector that are not zero. With SPLADE, `index` is a token's id, `value` its weight."""
    body = await read_body(request, inputs.EmbedSparseBody)
    service = await find_service(request, body.model, SparseEmbedder)
    texts = await _tokenize(request, service, body)
    vectors = await embedding.embed_sparse(request, service, texts, body.max_active_dims)

    def values(start: int, stop: int) -> list[Any]:
        part = vectors[start:stop]
        pairs = zip(part.indices.tolist(), part.values.tolist(), strict=True)
        numbers = [{"index": index, "value": value} for index, value in pairs]
        return [numbers[first:end] for first, end in itertools.pairwise(part.offsets.tolist())]

    return await list_response(request, vectors.values, values, texts.headers(), count=len(vectors))


async def _tokenize(request: Request, service: Service[AnyEmbedder], body: inputs.TextsBody) -> TokenizedTexts:
    """The texts of a body as tokens."""
    check_direction(service.task, body.truncation_direction)
    return await tokenize_input(
        serving_of(request),
        request,
        service,
        body.inputs,
        prompt_name=body.prompt_name,
        input_type=body.input_type,
        truncate=body.truncate,
        model=body.model,
    )


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
    service = await find_service(request, body.model, Embedder)
    check_direction(service.task, options.truncation_direction)
    sentences = [body.inputs.source_sentence, *body.inputs.sentences]
    texts = await tokenize_input(
        serving, request, service, sentences, prompt_name=options.prompt_name, truncate=options.truncate
    )
    vectors = await embedding.embed(request, service, texts, normalize=True)
    return json_response((vectors[1:] @ vectors[0]).tolist(), texts.headers())


@post_route(router, "/tokenize", inputs.TokenizeBody, outputs.Tokens, TEIFailure, "Split texts into tokens")
async def tokenize(request: Request) -> Response:
    """The tokens of each text, up to what the model reads. `start` and `stop` count characters of prompt and text."""
    body = await read_body(request, inputs.TokenizeBody)
    serving = serving_of(request)
    service = await find_service(request, body.model, Task)
    task = service.task
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    check_count(texts, serving.settings.limits.texts)
    check_characters(texts, serving.settings.limits.characters)
    if isinstance(task, AnyEmbedder):
        side, prompt = embedding.choose_side(task, body.prompt_name, None)
        inspect = embedding.tokenizer_of(task, side).inspect
    else:
        prompt, inspect = task.prompt_named(body.prompt_name), task.tokenizer.inspect

    def values(part: Sequence[str]) -> list[list[dict[str, Any]]]:
        token_lists = [inspect(text, prompt).tokens for text in part]
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
    service = await find_service(request, body.model, Task)
    task = service.task
    sequences = [body.ids] if isinstance(body.ids[0], int) else body.ids
    check_count(sequences, serving.settings.limits.texts)
    embedding.check_ids(sequences, serving.settings.limits.characters)
    vocabulary = task.spec.encoder.vocab_size

    def values(part: Sequence[list[int]]) -> list[str]:
        for ids in part:
            if max(ids) >= vocabulary:
                position = next(index for index, sequence in enumerate(sequences) if sequence is ids)
                raise InputError(describe_wrong_id(f"list {position}", max(ids), vocabulary))
        return [task.tokenizer.decode(ids, skip_special=body.skip_special_tokens) for ids in part]

    return await tokenizer_response(request, service, sequences, PART_CHARACTERS, values)


@post_route(router, "/predict", PredictBody, outputs.Predictions, TEIFailure, "Classify texts, or pairs of texts")
async def predict(request: Request) -> Response:
    """Each label with its score, best first. The scores are probabilities, unless `raw_scores` is `true`."""
    body = await read_body(request, PredictBody)
    service = await find_service(request, body.model, Classifier, ScoringTask)
    task, inputs = service.task, body.inputs
    check_direction(task, body.truncation_direction)
    is_batch = isinstance(inputs, list) and isinstance(inputs[0], list)
    items = cast("list[list[str]]", inputs if is_batch else [[inputs] if isinstance(inputs, str) else inputs])
    logits, texts = await classify(request, service, items, cut=body.truncate is not False)
    parameters = body.parameters or PredictParameters()
    if body.raw_scores and parameters.function_to_apply not in (None, "none"):
        raise OptionError(
            'Send "raw_scores": true or function_to_apply, not both: raw scores have no function applied.'
        )
    function = "none" if body.raw_scores else parameters.function_to_apply
    scores = SCORES[function](logits) if function else task.probabilities_of(logits)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : parameters.top_k]

    def predictions(row: int) -> list[dict[str, Any]]:
        return [{"label": task.head.labels[label], "score": float(scores[row, label])} for label in order[row].tolist()]

    def values(start: int, stop: int) -> list[Any]:
        return [predictions(row) for row in range(start, stop)]

    brackets = (b"[", b"]") if is_batch or body.parameters is not None else (b"", b"")
    return await list_response(request, scores, values, texts.headers(), before=brackets[0], after=brackets[1])


@router.get(
    "/info",
    response_model=outputs.Info,
    responses=error_responses(TEIFailure, 401, 503),
    summary="Describe the first model and the limits",
)
async def info(request: Request) -> Response:
    """The first model, and this server's limits."""
    serving = serving_of(request)
    service = await find_service(request, serving.models.names()[0], Task)
    task, limits = service.task, serving.settings.limits
    description = {
        "model_id": service.name,
        "model_sha": task.files.revision,
        "model_dtype": task.engine.dtype,
        "model_type": _model_type(service),
        "max_concurrent_requests": limits.waiting_tokens,
        "max_input_length": task.max_tokens,
        "max_batch_tokens": limits.tokens_per_call,
        "max_client_batch_size": limits.texts,
        "auto_truncate": serving.settings.on_truncation == "cut" or isinstance(task, ScoringTask),
        "tokenization_workers": 1,
        "version": __version__,
        "dimensions": task.dimensions if isinstance(task, AnyEmbedder) else None,
    }
    return json_response(description)


def _model_type(service: Service[Task]) -> dict[str, Any]:
    """The kind of a model as text-embeddings-inference names it."""
    spec = service.task.spec
    if service.kind == "sparse_embedder":
        match spec.stages:
            case (Pooling() as pooling, *_, AutoEncoderSpec()):
                return {"embedding": {"pooling": " + ".join(pooling.modes)}}
        return {"embedding": {"pooling": "splade"}}
    if service.kind == "multi_vector_embedder":
        return {"embedding": {"pooling": "none"}}
    if spec.head is None or service.kind == "embedder":
        return {"embedding": {"pooling": " + ".join(spec.pooling.modes)}}
    names = {
        "id2label": {str(number): label for number, label in enumerate(spec.head.labels)},
        "label2id": {label: number for number, label in enumerate(spec.head.labels)},
    }
    return {service.kind: names}


def _token_info(token: Token) -> dict[str, Any]:
    special = token.kind == "special"
    return {
        "id": token.id,
        "text": token.piece,
        "special": special,
        "start": None if special else token.start,
        "stop": None if special else token.end,
    }


def check_direction(task: Task, direction: str | None) -> None:
    """Refuse to cut texts at another end than the model does."""
    own = task.spec.tokenizer.truncation_side
    if direction is not None and direction.lower() != own:
        raise OptionError(f"truncation_direction must be {own.capitalize()!r}, the end at which this model cuts texts.")
