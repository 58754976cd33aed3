"""From an error to an answer: its status, its words, and the shape that the route's clients know.

OpenAI's, on ``/v1`` and on our own routes: ``{"error": {"message", "type", "param", "code"}}``
(https://platform.openai.com/docs/guides/error-codes). Text-embeddings-inference's, on its own: ``{"error",
"error_type"}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pellucid.errors import (
    InputError,
    MissingExtraError,
    ModelError,
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
)

TEI_PATHS = frozenset({"/", "/embed", "/embed_all", "/similarity", "/tokenize", "/decode", "/info"})
_TEI_TYPES = {429: "Overloaded", 503: "Unhealthy", 500: "Backend"}
_OPENAI_TYPES = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


@dataclass(frozen=True)
class Failure:
    """An answer that is no success.

    Attributes:
        status: of HTTP.
        message: what was wrong, where, and what to do.
        code: a word for programs, or None.
        param: which key of the body was wrong, or None.
        retry_after: in how many seconds to try again, or None.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None

    def body(self, path: str) -> bytes:
        """The JSON for the clients of this path."""
        if path in TEI_PATHS:
            kind = _TEI_TYPES.get(self.status, "Validation")
            return json.dumps({"error": self.message, "error_type": kind}).encode()
        kind = _OPENAI_TYPES.get(self.status, "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

    def headers(self) -> dict[str, str]:
        """What goes with it."""
        found = {"content-type": "application/json"}
        if self.retry_after is not None:
            found["retry-after"] = str(self.retry_after)
        if self.status == 401:  # noqa: PLR2004
            found["www-authenticate"] = "Bearer"
        return found

    def error(self) -> RequestError:
        """The same, to be raised."""
        return RequestError(self.status, self.message, self.code or "", self.param)


def client_left() -> RequestError:
    """What ends the work for a client that has closed its connection."""
    return RequestError(499, "The client has left.", "client_left")


_ANSWERS: tuple[tuple[type[Exception], int, str | None, str | None], ...] = (
    (ModelNotServedError, 404, "model_not_found", "model"),
    (TruncationError, 400, "context_length_exceeded", "input"),
    (InputError, 400, None, None),
    (QueueFullError, 429, "queue_full", None),
    (ServerStoppingError, 503, "unavailable", None),
    (NoRoomForModelError, 503, "unavailable", None),
    (RequestMemoryFullError, 503, "request_memory_full", None),
    (RequestTooLargeError, 413, "needs_too_much_memory", None),
    (VectorNotFiniteError, 500, "vector_not_finite", "input"),
    (RequestTimeoutError, 503, "timeout", None),
)
"""Errors whose messages clients may read: the status, the code, and the key of the body that is wrong."""


def is_for_the_log(error: BaseException) -> bool:
    """Whether the answer does not say what happened: a model that cannot be loaded, or what we did not foresee."""
    return not isinstance(error, (RequestError, *(kind for kind, *_ in _ANSWERS)))


def failure_of(error: BaseException) -> Failure:
    """The answer to a request that ended in an error."""
    if isinstance(error, RequestError):
        return Failure(error.status, str(error), error.code, error.param)
    for kind, status, code, param in _ANSWERS:
        if isinstance(error, kind):
            retry_after = error.retry_after if isinstance(error, ServerError) else None
            return Failure(status, _sentence(error), code, param, retry_after)
    if isinstance(error, ModelError | MissingExtraError):
        # What a model's files say may name folders of this machine.
        return Failure(503, "The model could not be loaded; the server's log says why.", "model_not_loaded")
    return Failure(500, "The server failed; the fault is its own. Its log has more.", "internal_error")


def _sentence(error: BaseException) -> str:
    message = str(error)
    return message[:1].upper() + message[1:]
