"""What stands in answers, for the API's description; the answers themselves are written straight from arrays."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel


class Embedding(BaseModel):
    """The vector of one text; in base64, of its float32 numbers, little-endian."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that went through the model, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """OpenAI's answer."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class ModelCard(BaseModel):
    """OpenAI's model, and what one must know of it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelCards(BaseModel):
    """OpenAI's list."""

    object: Literal["list"]
    data: list[ModelCard]


class Vectors(RootModel[list[list[float]]]):
    """A vector for each text."""


class TokenVectors(RootModel[list[list[list[float]]]]):
    """A vector for each token of each text."""


class Similarities(RootModel[list[float]]):
    """A cosine for each sentence."""


class TokenSeen(BaseModel):
    """A token, and from which characters of the text it was made; null for one that the model adds."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Tokens(RootModel[list[list[TokenSeen]]]):
    """The tokens of each text."""


class Texts(RootModel[list[str]]):
    """A text for each list of ids."""


class Pooling(BaseModel):
    """How token vectors become one."""

    pooling: str


class ModelType(BaseModel):
    """What a model is for."""

    embedding: Pooling


class Info(BaseModel):
    """Text-embeddings-inference's ``/info``."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    dimensions: int


class Health(BaseModel):
    """Whether requests are answered."""

    status: Literal["ready", "stopping"]


class View(RootModel[dict[str, Any]]):
    """Everything that is known of a text, two or many."""


class Latency(BaseModel):
    """Percentiles of the last thousand requests, in milliseconds."""

    p50: float
    p95: float
    p99: float


class ModelFigures(BaseModel):
    """What one model did."""

    name: str
    dimensions: int
    max_tokens: int
    loaded: bool
    requests: int
    texts: int
    tokens: int
    tokens_per_second: float = Field(description="In the last ten seconds.")
    queued_requests: int
    queued_tokens: int
    latency_ms: Latency | None


class Stats(BaseModel):
    """What the server did since its start."""

    models: list[ModelFigures]
    uptime_s: float
    version: str
    needs_key: bool


class OpenAIError(BaseModel):
    """What was wrong, and what to do."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIFailure(BaseModel):
    """An answer that is no success, as OpenAI's clients know it."""

    error: OpenAIError


class TEIFailure(BaseModel):
    """An answer that is no success, as text-embeddings-inference's clients know it."""

    error: str
    error_type: str


_WORDS = {
    400: "The request is wrong; the message says where.",
    401: "The server asks for an API key, and this is none of its keys.",
    404: "No such model here.",
    413: "The body is too large.",
    415: "The body's Content-Type is not application/json.",
    429: "Too much is waiting; Retry-After says when to try again.",
    500: "The server failed.",
    503: "It took too long, or the model has no room, or the server is stopping.",
}


def failures(shape: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI is told of the failures of a route: of these statuses, or all."""
    return {status: {"model": shape, "description": _WORDS[status]} for status in statuses or _WORDS}
