"""What every request passes on its way in, and every answer on its way out: key, limits, request id, log."""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pellucid.server.failures import Failure, RequestError, failure_of
from pellucid.server.serving import Serving

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("pellucid.server")
OPEN = {("GET", "/"), ("GET", "/health"), ("HEAD", "/health"), ("GET", "/docs"), ("GET", "/openapi.json")}
"""What is shown without a key: nothing of it says what the server did or was asked."""
_LOCAL = re.compile(rb"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[\w.:-]{1,128}")
_ROUTES = 200


class Gate:
    """Wraps the app.

    Args:
        app: what answers.
        serving: what the server has.
    """

    def __init__(self, app: App, serving: Serving) -> None:
        self._app = app
        self._serving = serving
        self._keys = [key.encode() for key in serving.settings.keys]
        # Without a key, a page of another site could have its own name point at this machine, and ask.
        self._only_local = serving.settings.loopback and not self._keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything else of ASGI (the lifespan) goes straight on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16).encode()
        path, method = scope["path"], scope["method"]
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
                if self._serving.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        read = 0
        most = self._serving.settings.limits.body_bytes

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > most:
                    raise RequestError(_too_large(most))
            return message

        try:
            if (refusal := self._refusal(method, path, headers)) is not None:
                await _answer(refusal, path, sending)
            else:
                await self._app(scope, receiving, sending)
        except Exception as error:
            failure = failure_of(error)
            if failure.status >= 500:  # noqa: PLR2004
                logger.exception("failed", extra={"id": request_id.decode()})
            if not status:  # Else the answer has begun; uvicorn closes the connection of one without an end.
                await _answer(failure, path, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._serving.metrics.answers.labels(route, str(status)).inc()
            logger.info(
                "answered",
                extra={
                    "id": request_id.decode(),
                    "method": method,
                    "path": path[:_ROUTES],
                    "status": status,
                    "ms": round((time.perf_counter() - start) * 1000, 2),
                },
            )

    def _refusal(self, method: str, path: str, headers: dict[bytes, bytes]) -> Failure | None:
        """Why a request is not even read, or None."""
        if self._only_local and not _LOCAL.fullmatch(headers.get(b"host", b"")):
            return Failure(
                403,
                "This server listens to its own machine alone, so the address must be localhost or 127.0.0.1.",
                "wrong_host",
            )
        if self._keys and (method, path) not in OPEN and not self._has_key(headers.get(b"authorization", b"")):
            return Failure(
                401, "A valid API key is needed, in the header Authorization: Bearer KEY.", "invalid_api_key"
            )
        if method == "POST":
            length = headers.get(b"content-length", b"0")
            most = self._serving.settings.limits.body_bytes
            if not length.isdigit() or int(length) > most:
                return _too_large(most)
            if headers.get(b"content-encoding", b"identity").lower() != b"identity":
                return Failure(415, "The body must not be compressed: send it without Content-Encoding.", "compressed")
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                # Also, a form of another site's page cannot send this kind unasked.
                return Failure(
                    415, "The body must be JSON, with the header Content-Type: application/json.", "not_json"
                )
        return None

    def _has_key(self, authorization: bytes) -> bool:
        scheme, _, given = authorization.partition(b" ")
        # Each is compared, and each in constant time, so that the time says nothing of them.
        found = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(found)


async def _answer(failure: Failure, path: str, send: Send) -> None:
    body = failure.body(path)
    headers = [(name.encode(), value.encode()) for name, value in failure.headers().items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": failure.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _too_large(most: int) -> Failure:
    return Failure(413, f"The body is larger than {most:,} bytes, which is all that this server takes.", "too_large")


class JsonLines(logging.Formatter):
    """A line of JSON for each record: time, level, what happened, and its particulars. Never a text."""

    _PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in self._PLAIN},
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)
