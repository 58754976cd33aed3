"""From an error to an error response: its status, its message, and the JSON shape that the route's clients expect.

On ``/v1`` and on our own routes the shape is OpenAI's: ``{"error": {"message", "type", "param", "code"}}``
(https://platform.openai.com/docs/guides/error-codes). On the routes of text-embeddings-inference (TEI) it is that
server's: ``{"error", "error_type"}``, and on Ollama's ``{"error"}``. On Cohere's it is OpenAI's with ``message`` beside
it, where Cohere has it (https://docs.cohere.com/reference/errors).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pellucid.errors import (
    InputError,
    MissingExtraError,
    ModelError,
    ModelNotLoadedError,
    ModelNotServedError,
    NoRoomForModelError,
    QueueFullError,
    RequestError,
    RequestMemoryFullError,
    RequestTimeoutError,
    RequestTooLargeError,
    ServerError,
    ServerStoppingError,
    TruncationError,
    VectorNotFiniteError,
    WrongModelKindError,
)

TEI_PATHS = frozenset(
    {
        "/",
        "/embed",
        "/embed_all",
        "/embed_sparse",
        "/similarity",
        "/tokenize",
        "/decode",
        "/info",
        "/rerank",
        "/predict",
    }
)
COHERE_PATHS = frozenset({"/v1/rerank", "/v2/rerank", "/v1/embed", "/v2/embed"})
OLLAMA_PATHS = frozenset({"/api/embed", "/api/embeddings", "/api/tags"})
_TEI_TYPES = {429: "Overloaded", 503: "Unhealthy", 500: "Backend"}
_OPENAI_TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


@dataclass(frozen=True)
class Failure:
    """The content of an error response.

    Attributes:
        status: the HTTP status.
        message: what was wrong, where, and what to do.
        code: a word for programs, or None.
        param: the key of the body that was wrong, or None.
        retry_after: after how many seconds to try again, or None.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None

    def body(self, path: str) -> bytes:
        """The JSON that clients of this path expect."""
        if path in TEI_PATHS:
            error_type = _TEI_TYPES.get(self.status, "Validation")
            return json.dumps({"error": self.message, "error_type": error_type}).encode()
        if path in OLLAMA_PATHS:
            return json.dumps({"error": self.message}).encode()
        error_type = _OPENAI_TYPES.get(self.status, "invalid_request_error")
        error = {"message": self.message, "type": error_type, "param": self.param, "code": self.code}
        return json.dumps({"error": error} | ({"message": self.message} if path in COHERE_PATHS else {})).encode()

    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        headers = {"content-type": "application/json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status == 401:  # noqa: PLR2004
            headers["www-authenticate"] = "Bearer"
        return headers

    def error(self) -> RequestError:
        """An exception with the same content."""
        return RequestError(self.status, self.message, self.code, self.param, self.retry_after)


def client_left() -> RequestError:
    """The error that stops work for a client that has closed its connection. Status 499 is nginx's for this case."""
    return RequestError(499, "The client has closed the connection.", "client_left")


_RESPONSES: tuple[tuple[type[Exception], int, str | None, str | None], ...] = (
    (ModelNotServedError, 404, "model_not_found", "model"),
    (WrongModelKindError, 400, "wrong_model_kind", "model"),
    (TruncationError, 400, "context_length_exceeded", "input"),
    (InputError, 400, None, None),
    (QueueFullError, 429, "queue_full", None),
    (ServerStoppingError, 503, "unavailable", None),
    (ModelNotLoadedError, 503, "model_not_loaded", "model"),
    (NoRoomForModelError, 503, "unavailable", None),
    (RequestMemoryFullError, 503, "request_memory_full", None),
    (RequestTooLargeError, 413, "needs_too_much_memory", None),
    (VectorNotFiniteError, 500, "vector_not_finite", "input"),
    (RequestTimeoutError, 503, "timeout", None),
)
"""Errors whose messages clients may read. For each, the status, the code, and the key of the body that is wrong."""


def needs_log(error: BaseException) -> bool:
    """True if the response hides what happened, so that the log must say it.

    This is so for a model that cannot be loaded, and for errors that we did not foresee.
    """
    says_why = isinstance(error, (RequestError, *(kind for kind, *_ in _RESPONSES)))
    return isinstance(error, ModelNotLoadedError) or not says_why


def failure_of(error: BaseException) -> Failure:
    """The error response to a request that ended with this error."""
    if isinstance(error, RequestError):
        return Failure(error.status, str(error), error.code, error.param, error.retry_after)
    for kind, status, code, param in _RESPONSES:
        if isinstance(error, kind):
            retry_after = error.retry_after if isinstance(error, ServerError) else None
            return Failure(status, _capitalized(error), code, param, retry_after)
    if isinstance(error, ModelError | MissingExtraError):
        # Errors about a model's files may name folders of this machine.
        return Failure(503, "The model could not be loaded. The server's log says why.", "model_not_loaded")
    return Failure(500, "The server failed. This is its own fault; its log says more.", "internal_error")


def _capitalized(error: BaseException) -> str:
    message = str(error)
    return message[:1].upper() + message[1:]
