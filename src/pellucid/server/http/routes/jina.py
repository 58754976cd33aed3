"""Jina's API for vectors of tokens: https://api.jina.ai/redoc. For ranking, see ``rerank.py``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.errors import OptionError
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.server.http.answers import list_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embed_inputs import MultiVectorBody
from pellucid.server.http.embedding import tokenize_input
from pellucid.server.http.late_interaction import check_answered_tokens, embed_each_token
from pellucid.server.http.outputs import MultiVectorEmbeddings, OpenAIFailure
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.routes.openai import as_base64, as_numbers
from pellucid.server.http.serving import find_service, serving_of

router = APIRouter(tags=["Jina"], route_class=DirectRoute)


@post_route(
    router, "/v1/multi-vector", MultiVectorBody, MultiVectorEmbeddings, OpenAIFailure, "Turn each token into a vector"
)
async def multi_vector(request: Request) -> Response:
    """The vectors of each text by a multi-vector model. `input_type` says if texts are queries or documents."""
    body = await read_body(request, MultiVectorBody)
    service = await find_service(request, body.model, MultiVectorEmbedder)
    size = service.task.dimensions
    if body.dimensions not in (None, size):
        raise OptionError(f"Leave out dimensions, or send {size}: this server gives all numbers of a vector.")
    texts = await tokenize_input(
        serving_of(request), request, service, body.input, input_type=body.input_type, truncate=body.truncate
    )
    check_answered_tokens(request, texts)
    vectors = await embed_each_token(request, service, texts)
    arrays, tokens = list(vectors), len(texts.tokens.ids)
    encode = as_base64 if "base64" in (body.embedding_type, body.encoding_format) else as_numbers

    def values(start: int, stop: int) -> list[dict[str, Any]]:
        return [
            {"object": "embeddings", "index": index, "embeddings": encode(arrays[index])}
            for index in range(start, stop)
        ]

    end = {
        "model": service.name if body.model is None else body.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    before, after = b'{"object":"list","data":[', b"]," + to_json(end)[1:]
    return await list_response(
        request, vectors.vectors, values, texts.headers(), count=len(arrays), before=before, after=after
    )
