"""What every request passes on its way in, and every answer on its way out: key, limits, request id, log."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pellucid.server.core.budget import Hold
from pellucid.server.http.errors import Failure, failure_of, is_for_the_log
from pellucid.server.http.serving import CONNECTION, DEADLINE, HOLD, Serving

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("pellucid.server")
OPEN = {("GET", "/"), ("GET", "/health"), ("HEAD", "/health"), ("GET", "/docs"), ("GET", "/openapi.json")}
"""What is shown without a key: nothing of it says what the server did or was asked."""
_ONCE = frozenset(
    (b"host", b"authorization", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")
)
"""Headers of which a second one would be read differently by a proxy and by us."""
_LOCAL = re.compile(rb"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[\w.:-]{1,128}")
_ROUTES = 200
_ERRORS = 400


class Gate:
    """Wraps the app.

    Args:
        app: what answers.
        serving: what the server has.
        takes_body: whether something is answered at a path with POST.
    """

    def __init__(self, app: App, serving: Serving, takes_body: Callable[[str], bool]) -> None:
        self._app = app
        self._serving = serving
        self._takes_body = takes_body
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
        request_id = _request_id(headers.get(b"x-request-id", b""))
        path, method = scope["path"], scope["method"]
        limits = self._serving.settings.limits
        scope[DEADLINE] = asyncio.get_running_loop().time() + limits.seconds, limits.seconds
        hold: Hold = scope.setdefault(HOLD, self._serving.budget.hold())
        least = hold.size
        status = read = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                # From here on, the request holds its answer, and nothing else.
                hold.resize(max(least, _length_of(message)))
                status = message["status"]
                if status >= _ERRORS and CONNECTION in scope:
                    scope[CONNECTION].end_unless_whole(scope)
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
                if self._serving.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > limits.body_bytes:
                    raise _too_large(limits.body_bytes).error()
            return message

        try:
            if (refusal := self._refusal(method, path, scope["headers"], headers)) is not None:
                await self._answer(refusal, path, sending)
            else:
                await self._app(scope, receiving, sending)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # A library in Rust panics with what is no Exception.
            failure = failure_of(error)
            if failure.status >= 500 and is_for_the_log(error):  # noqa: PLR2004
                logger.exception("failed", extra={"id": request_id.decode()})
            if not status:  # Else the answer has begun; uvicorn closes the connection of one without an end.
                await self._answer(failure, path, sending)
        finally:
            self._tell(request_id, scope, status, time.perf_counter() - start)

    def _tell(self, request_id: bytes, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._serving.metrics.answers.labels(route, str(status)).inc()
        told = {"id": request_id.decode(), "method": scope["method"], "path": scope["path"][:_ROUTES], "status": status}
        logger.info("answered", extra=told | {"ms": round(seconds * 1000, 2)})

    def _refusal(
        self, method: str, path: str, pairs: list[tuple[bytes, bytes]], headers: dict[bytes, bytes]
    ) -> Failure | None:
        """Why a request is not even read, or None."""
        if len(pairs) != len(headers) and (name := _repeated(pairs)) is not None:
            return Failure(400, f"The header {name} is there twice. Send it once.", "repeated_header")
        if self._only_local and not _LOCAL.fullmatch(headers.get(b"host", b"")):
            return Failure(
                403,
                "This server answers its own machine only. Call it by the address localhost or 127.0.0.1.",
                "wrong_host",
            )
        if self._keys and (method, path) not in OPEN and not self._has_key(headers.get(b"authorization", b"")):
            return Failure(401, "Send a valid API key in the header Authorization: Bearer KEY.", "invalid_api_key")
        return self._wrong_body(headers) if method == "POST" and self._takes_body(path) else None

    def _wrong_body(self, headers: dict[bytes, bytes]) -> Failure | None:
        """What is wrong with a body, from what its headers say."""
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return Failure(400, "The only Transfer-Encoding that is read is chunked.", "bad_transfer_encoding")
        length = headers.get(b"content-length", b"0")
        most = self._serving.settings.limits.body_bytes
        if not length.isdigit() or int(length) > most:
            return _too_large(most)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return Failure(415, "The body must not be compressed: send it without Content-Encoding.", "compressed")
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            # A form on another site's page cannot send this type.
            return Failure(415, "The body must be JSON, with the header Content-Type: application/json.", "not_json")
        return None

    def _has_key(self, authorization: bytes) -> bool:
        scheme, _, given = authorization.partition(b" ")
        # Each is compared, and each in constant time, so that the time says nothing of them.
        found = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(found)

    async def _answer(self, failure: Failure, path: str, send: Send) -> None:
        self._serving.metrics.failed(failure.status, failure.code)
        body = failure.body(path)
        headers = [(name.encode(), value.encode()) for name, value in failure.headers().items()]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": failure.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _request_id(given: bytes) -> bytes:
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16).encode()


def _length_of(message: Message) -> int:
    """How many bytes an answer has: all of ours say so at their start."""
    return next((int(value) for name, value in message["headers"] if name == b"content-length"), 0)


def _repeated(pairs: list[tuple[bytes, bytes]]) -> str | None:
    """The first header that is there twice and must not be, or None."""
    seen: set[bytes] = set()
    for name, _ in pairs:
        if name in seen and name in _ONCE:
            return name.decode().title()
        seen.add(name)
    return None


def _too_large(most: int) -> Failure:
    return Failure(413, f"The body is larger than {most:,} bytes, the most that this server reads.", "too_large")


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
