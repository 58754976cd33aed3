"""What happens before and after every request: the checks of key, host and limits, the request id, and the log."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pellucid.server.core.budget import Reservation
from pellucid.server.http.errors import Failure, failure_of, needs_log
from pellucid.server.http.serving import CONNECTION, DEADLINE, MODEL_KIND, RESERVATION, Serving

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("pellucid.server")
KEYLESS_ROUTES = {
    *(("GET", "/"), ("GET", "/health"), ("HEAD", "/health"), ("GET", "/ping")),
    *(("GET", "/docs"), ("GET", "/openapi.json")),
}
"""Routes that need no key. They say nothing about what the server did or which requests it got."""
_SINGLE_HEADERS = frozenset(
    (
        b"host",
        b"authorization",
        b"api-key",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
    )
)
"""Headers that a request may have only once. A proxy and we could each use a different one of two."""
_LOCAL_HOST = re.compile(rb"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[\w.:-]{1,128}")
_MAX_LOGGED_PATH = 200
_POLLED_ROUTES = frozenset(("/health", "/ping", "/metrics", "/stats"))
"""Routes that the page and monitors ask every few seconds. The log has only their failures."""
_MIN_ERROR_STATUS = 400


class Gate:
    """Wraps the app: checks each request before the app sees it, and logs each response.

    Args:
        app: the ASGI app.
        serving: what the routes of the server share.
        takes_body: returns True if this path has a POST route.
    """

    def __init__(self, app: App, serving: Serving, takes_body: Callable[[str], bool]) -> None:
        self._app = app
        self._serving = serving
        self._takes_body = takes_body
        self._keys = [key.encode() for key in serving.settings.keys]
        # Without a key, another site could make its own name resolve to this machine, and its page could send requests.
        self._only_local = serving.settings.loopback and not self._keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. Other ASGI events, such as the lifespan, go straight to the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        path, method = scope["path"], scope["method"]
        limits = self._serving.settings.limits
        scope[DEADLINE] = asyncio.get_running_loop().time() + limits.seconds, limits.seconds
        reservation: Reservation = scope.setdefault(RESERVATION, self._serving.budget.reservation())
        header_bytes = reservation.size
        status = received_bytes = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                # From here on, the request needs memory only for its headers or its response.
                reservation.resize(max(header_bytes, _content_length(message)))
                status = message["status"]
                if status >= _MIN_ERROR_STATUS and CONNECTION in scope:
                    scope[CONNECTION].close_if_incomplete(scope)
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
                if self._serving.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        async def receive_within_limit() -> Message:
            nonlocal received_bytes
            message = await receive()
            if message["type"] == "http.request":
                received_bytes += len(message.get("body", b""))
                if received_bytes > limits.body_bytes:
                    raise _too_large(limits.body_bytes).error()
            return message

        try:
            if (refusal := self._check(method, path, scope["headers"], headers)) is not None:
                await self._respond(refusal, path, send_with_headers)
            else:
                await self._app(scope, receive_within_limit, send_with_headers)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # A panic in a Rust library is not an Exception.
            failure = failure_of(error)
            if failure.status >= 500 and needs_log(error):  # noqa: PLR2004
                logger.exception("failed", extra={"id": request_id.decode()})
            if not status:  # If the response has begun, uvicorn closes the connection because it stays incomplete.
                await self._respond(failure, path, send_with_headers)
        finally:
            self._log(request_id, scope, status, time.perf_counter() - start)

    def _log(self, request_id: bytes, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._serving.metrics.responses.labels(route, str(status)).inc()
        if route in _POLLED_ROUTES and status < _MIN_ERROR_STATUS:
            return
        fields = {
            "id": request_id.decode(),
            "method": scope["method"],
            "path": scope["path"][:_MAX_LOGGED_PATH],
            "status": status,
            "ms": round(seconds * 1000, 2),
        }
        if MODEL_KIND in scope:
            fields["kind"] = scope[MODEL_KIND]
        logger.info("answered", extra=fields)

    def _check(
        self, method: str, path: str, pairs: list[tuple[bytes, bytes]], headers: dict[bytes, bytes]
    ) -> Failure | None:
        """The reason to refuse a request before its body is read, or None."""
        if len(pairs) != len(headers) and (name := _repeated(pairs)) is not None:
            return Failure(400, f"The request has the header {name} twice. Send it once.", "repeated_header")
        if self._only_local and not _LOCAL_HOST.fullmatch(headers.get(b"host", b"")):
            return Failure(
                403,
                "This server has no API keys, so it answers only under the names localhost and 127.0.0.1. Use one of "
                "them in the URL.",
                "wrong_host",
            )
        needs_key = self._keys and (method, path) not in KEYLESS_ROUTES
        if needs_key and not self._has_valid_key(headers):
            return Failure(401, "Send a valid API key in the header Authorization: Bearer KEY.", "invalid_api_key")
        return self._check_body_headers(headers) if method == "POST" and self._takes_body(path) else None

    def _check_body_headers(self, headers: dict[bytes, bytes]) -> Failure | None:
        """The reason to refuse a body, from what its headers say about it, or None."""
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return Failure(400, "Transfer-Encoding must be chunked.", "bad_transfer_encoding")
        length = headers.get(b"content-length", b"0")
        max_bytes = self._serving.settings.limits.body_bytes
        if not length.isdigit() or int(length) > max_bytes:
            return _too_large(max_bytes)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return Failure(415, "The body must not be compressed. Send it without Content-Encoding.", "compressed")
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type != b"application/json":
            # A form on another site's page cannot send this type.
            return Failure(415, "The body must be JSON, with the header Content-Type: application/json.", "not_json")
        return None

    def _has_valid_key(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, sent_key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            sent_key = headers.get(b"api-key", b"")  # Clients of Azure send it there.
        # Compare with every key, each in constant time, so that the time reveals nothing about the keys.
        matches = [hmac.compare_digest(sent_key.strip(), key) for key in self._keys]
        return any(matches)

    async def _respond(self, failure: Failure, path: str, send: Send) -> None:
        self._serving.metrics.count_refusal(failure.status, failure.code)
        body = failure.body(path)
        headers = [(name.encode(), value.encode()) for name, value in failure.headers().items()]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": failure.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _request_id(sent_id: bytes) -> bytes:
    """The client's own id if it is a valid one, or else a new one."""
    return sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(16).encode()


def _content_length(message: Message) -> int:
    """The length of a response in bytes. All our responses declare it."""
    return next((int(value) for name, value in message["headers"] if name == b"content-length"), 0)


def _repeated(pairs: list[tuple[bytes, bytes]]) -> str | None:
    """The name of the first header that a request has twice and may have only once, or None."""
    seen: set[bytes] = set()
    for name, _ in pairs:
        if name in seen and name in _SINGLE_HEADERS:
            return name.decode().title()
        seen.add(name)
    return None


def _too_large(max_bytes: int) -> Failure:
    return Failure(413, f"The body is larger than {max_bytes:,} bytes, this server's limit.", "too_large")
