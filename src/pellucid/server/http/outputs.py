"""The shapes of responses, for the API's description. The responses themselves are written directly from arrays."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel

from pellucid.server.core.kinds import Kind


class Embedding(BaseModel):
    """The vector of one text. In base64, it is the bytes of its numbers as little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """How many tokens went through the model, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """OpenAI's response with vectors."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class TokenEmbeddings(BaseModel):
    """The vectors of one text. In base64, each is the bytes of its numbers as little-endian float32."""

    object: Literal["embeddings"]
    index: int
    embeddings: list[list[float]] | list[str]


class MultiVectorEmbeddings(BaseModel):
    """Jina's response with vectors of tokens."""

    object: Literal["list"]
    data: list[TokenEmbeddings]
    model: str
    usage: Usage


class OllamaEmbeddings(BaseModel):
    """Ollama's response with vectors. Durations are in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OllamaEmbedding(BaseModel):
    """Ollama's response with one vector."""

    embedding: list[float]


class OllamaModel(BaseModel):
    """A model, as Ollama lists it. What is not known is empty."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: dict[str, str | None]


class OllamaModels(BaseModel):
    """Ollama's list of models."""

    models: list[OllamaModel]


class CohereEmbeddings(BaseModel):
    """Cohere's response with vectors: a list, or a list for each type."""

    id: str
    embeddings: list[list[float]] | dict[str, list[list[float]] | list[list[int]] | list[str]]
    texts: list[str]
    meta: dict[str, Any]
    response_type: Literal["embeddings_floats", "embeddings_by_type"]


class ModelCard(BaseModel):
    """A model, as OpenAI describes it, and its kind, which is null until its files are known.

    An alias also has `root`, as in vLLM: the name of the model that answers.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: Kind | None
    root: str | None = None


class ModelCards(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"]
    data: list[ModelCard]


class RankedText(BaseModel):
    """A text's place in the list that was sent, and its score. The text itself is there if it was asked for."""

    index: int
    score: float
    text: str | None = None


class RankedDocument(BaseModel):
    """A document's place in the list that was sent, and its score. The document itself is there if it was asked for."""

    index: int
    relevance_score: float
    document: dict[str, str] | None = None


class RankedDocuments(BaseModel):
    """Documents, best first."""

    id: str
    object: Literal["list"]
    model: str
    results: list[RankedDocument]
    usage: Usage
    meta: dict[str, Any]


class RankedTextsOrDocuments(RootModel[list[RankedText] | RankedDocuments]):
    """A list for a body with `texts`, and an object for one with `documents`."""


class Score(BaseModel):
    """The score of a pair."""

    index: int
    object: Literal["score"]
    score: float


class Scores(BaseModel):
    """vLLM's response with a score for each pair."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Score]
    usage: Usage


class Prediction(BaseModel):
    """A label and its score."""

    label: str
    score: float


class Predictions(RootModel[list[Prediction] | list[list[Prediction]]]):
    """The labels of one text, or of each text of a list, best first."""


class Vectors(RootModel[list[list[float]]]):
    """A vector for each text."""


class TokenVectors(RootModel[list[list[list[float]]]]):
    """A vector for each token of each text."""


class SparseValue(BaseModel):
    """A number of a sparse vector, and its place."""

    index: int
    value: float


class SparseEmbeddings(RootModel[list[list[SparseValue]]]):
    """The numbers of each text's vector that are not zero, in the order of their places."""


class Similarities(RootModel[list[float]]):
    """The cosine of the source sentence with each sentence."""


class TokenInfo(BaseModel):
    """A token, and the range of characters that it comes from. The range is null for tokens that the model adds."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Tokens(RootModel[list[list[TokenInfo]]]):
    """The tokens of each text."""


class Texts(RootModel[list[str]]):
    """A text for each list of ids."""


class Pooling(BaseModel):
    """How token vectors become one vector."""

    pooling: str


class Labels(BaseModel):
    """The labels of a model, by number, and their numbers, by label."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(BaseModel):
    """The type of a model: only the key of its kind is there."""

    embedding: Pooling | None = None
    reranker: Labels | None = None
    classifier: Labels | None = None


class Info(BaseModel):
    """The response of text-embeddings-inference's /info."""

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
    dimensions: int | None


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ready", "stopping"]


class View(RootModel[dict[str, Any]]):
    """Data about one text, two or many."""


class Latency(BaseModel):
    """The percentiles of the last thousand requests, in milliseconds."""

    p50: float
    p95: float
    p99: float


class ModelStats(BaseModel):
    """Statistics of one model."""

    name: str
    kind: Kind | None
    dimensions: int | None = Field(description="Of an embedder of any kind, once it is loaded.")
    max_tokens: int | None = Field(description="Once the model is loaded.")
    loaded: bool
    requests: int
    texts: int
    tokens: int
    tokens_per_second: float = Field(description="The average over the last ten seconds.")
    queued_requests: int
    queued_tokens: int
    latency_ms: Latency | None


class Stats(BaseModel):
    """Statistics of the server since its start."""

    models: list[ModelStats]
    uptime_s: float
    version: str
    needs_key: bool


class OpenAIError(BaseModel):
    """What was wrong, and what to do about it."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIFailure(BaseModel):
    """An error response in OpenAI's shape."""

    error: OpenAIError


class TEIFailure(BaseModel):
    """An error response in text-embeddings-inference's shape."""

    error: str
    error_type: str


class OllamaFailure(BaseModel):
    """An error response in Ollama's shape."""

    error: str


_DESCRIPTIONS = {
    400: "The request is wrong. The message says where.",
    401: "The API key is missing or wrong.",
    404: "This server has no such model.",
    413: "The body is too large.",
    415: "The body's Content-Type is not application/json.",
    429: "Too many requests are waiting. Retry-After says when to try again.",
    500: "The server failed.",
    503: "The answer took too long, memory is full, the model could not be loaded, or the server is stopping.",
}


def error_responses(shape: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """FastAPI's description of a route's error responses: those with these statuses, or all."""
    return {status: {"model": shape, "description": _DESCRIPTIONS[status]} for status in statuses or _DESCRIPTIONS}
