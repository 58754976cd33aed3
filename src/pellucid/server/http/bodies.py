"""From the bytes of a request to a body of :mod:`pellucid.server.http.inputs`.

What the values will take is known from the bytes, and taken from the budget, before they are parsed. Checking ends at
the first fault: a list of a million wrong values costs no more than one.
"""

from __future__ import annotations

import asyncio
import re
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.types import Message

from pellucid.errors import RequestError
from pellucid.server.http.errors import client_left
from pellucid.server.http.inputs import Body
from pellucid.server.http.serving import DEADLINE, attended, hold_of, serving_of
from pellucid.server.settings import Limits

_AT_ONCE_BYTES = 1 << 16
"""A body of so many bytes is parsed on the event loop, within a millisecond; a longer one in a thread."""
_VALUE_BYTES = 80
"""What a value takes at most beside its characters: a text, a number or an empty list, and its place in a list."""
_OBJECT_BYTES = 240
_STRING = re.compile(rb'"[^"]*+"')
_SHORT_BYTES = 4096
"""In a body of so many bytes, values are counted as if its texts were values too."""
_OTHERS = 40
"""More texts, lists or objects than so many, beside those that are to be embedded, no body has."""
AnyBody = TypeVar("AnyBody", bound=Body)


async def read(request: Request, kind: type[AnyBody]) -> AnyBody:
    """The body of a request.

    Raises:
        RequestError: it is not JSON, or not of this kind; the message names the key and quotes no value. Or the client
            has left before all of it was there.
        RequestMemoryFullError, RequestTooLargeError: its values would take too much memory.
        RequestTimeoutError: it did not come in time.
    """
    raw = await _received(request)
    serving, hold = serving_of(request), hold_of(request)
    limits = serving.settings.limits
    if len(raw) <= _AT_ONCE_BYTES:
        hold.take(parsed_bytes(raw, limits))
        body = parse(raw, kind)
    else:
        hold.take(await attended(request, serving.parsing.run(lambda _: parsed_bytes(raw, limits))))
        body = await attended(request, serving.parsing.run(lambda _: parse(raw, kind)))
    hold.give_back(len(raw) + len(raw) // 8)
    return body


async def _received(request: Request) -> bytes | bytearray:
    """All bytes; those of a short body are there already."""
    message = await _next(request)
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return first
    raw = bytearray(first)
    try:
        async with asyncio.timeout_at(request.scope.get(DEADLINE, (None,))[0]):
            while message.get("more_body", False):
                message = await _next(request)
                raw += message.get("body", b"")
    except TimeoutError:
        raise RequestError(408, "The body did not come in time.", "slow_request") from None
    return raw


async def _next(request: Request) -> Message:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise client_left()
    return message


def parsed_bytes(raw: bytes | bytearray, limits: Limits) -> int:
    """How much memory the values of a JSON document take at most.

    >>> parsed_bytes(b'["a", "b", 3]', Limits())
    253

    Raises:
        RequestError: there are more values than any body may have.
    """
    plain: bytes | bytearray = raw
    if len(raw) > _SHORT_BYTES:
        _check_count("texts and keys", (raw.count(b'"') - raw.count(b'\\"')) // 2, limits.texts)
        plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
        plain = _STRING.sub(b"", plain)
    lists, objects = plain.count(b"["), plain.count(b"{")
    values = plain.count(b",") + plain.count(b":") + lists
    if len(raw) > _SHORT_BYTES:
        _check_count("lists", lists, limits.texts)
        _check_count("objects", objects, limits.texts)
        _check_count("values", values, limits.characters)
    wide = 1 if raw.isascii() and b"\\u" not in raw else 4
    return wide * len(raw) + _VALUE_BYTES * values + _OBJECT_BYTES * objects


def _check_count(things: str, count: int, most: int) -> None:
    if count > most + _OTHERS:
        words = f"{count:,} {things} are too many for one request; at most {most:,}."
        raise RequestError(400, words, "too_many_values")


def parse(raw: bytes | bytearray, kind: type[AnyBody]) -> AnyBody:
    """A body from its bytes; the errors of :func:`read`."""
    try:
        value = from_json(raw, cache_strings="keys")
    except ValueError as error:
        raise RequestError(400, f"The body is not JSON: {error}.", "invalid_json") from None
    if not isinstance(value, dict):
        raise RequestError(400, "The body: must be a JSON object.", "invalid_value")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _request_error(error) from None


def _request_error(error: ValidationError) -> RequestError:
    found = error.errors(include_url=False, include_input=False)
    # What may be of several kinds has a fault for each of them; the deepest is of the one that was meant, and of
    # those in a list the last, up to which it was of another kind.
    fault = max(found, key=lambda one: (len(one["loc"]), [part for part in one["loc"] if isinstance(part, int)]))
    key = str(fault["loc"][0]) if fault["loc"] else None
    if fault["type"] == "unknown_key":
        unknown = str(fault["ctx"]["key"])
        return RequestError(
            400, f"The key {unknown[:80]!r} is not known here. Leave it out.", "unknown_key", unknown[:80]
        )
    place = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or _is_key(part))
    words = "Must be a JSON object" if fault["type"] == "model_type" else fault["msg"]
    if len({one["msg"] for one in found if one["loc"][:1] == fault["loc"][:1]}) > 1:
        words = "Must be a text, a list of texts, a list of token ids, or a list of such lists"
    return RequestError(400, f"{place[:80] or 'The body'}: {words}.", "invalid_value", key)


def _is_key(part: str) -> bool:
    """Whether part of a place is a key of the body, and not one of the kinds that its value may be of."""
    return part.isidentifier() and part not in {"str", "int"}
