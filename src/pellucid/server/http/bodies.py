"""Turn the bytes of a request into a body of :mod:`pellucid.server.http.inputs`.

Before parsing, the bytes tell how much memory the values will take, and the request takes that much from the budget.
Validation stops at the first error, so a list of a million wrong values costs no more than one.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Sequence
from typing import Any, TypeVar, overload

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.types import Message

from pellucid.errors import RequestError
from pellucid.server.http.errors import client_left
from pellucid.server.http.inputs import Body
from pellucid.server.http.serving import DEADLINE, reservation_of, serving_of, wait_or_cancel
from pellucid.server.settings import Limits

_SHORT_BYTES = 1 << 16
"""A body of up to this many bytes is parsed on the event loop, within a millisecond. A longer one goes to a thread."""
_VALUE_BYTES = 80
"""The most that a value takes beyond its characters: a text, number or empty list, and its place in a list."""
_OBJECT_BYTES = 240
_STRING = re.compile(rb'"[^"]*+"')
_ROUGH_COUNT_BYTES = 4096
"""In a body of up to this many bytes, characters in texts are counted as if they were JSON syntax."""
_OTHER_VALUES = 40
"""How many texts, lists or objects a valid body may have besides the texts to embed."""
_PROBLEMS = {
    "missing": "This key is missing",
    "string_type": "Must be a text",
    "bool_type": "Must be true or false",
    "int_type": "Must be a whole number",
    "greater_than_equal": "Must be at least {ge}",
    "literal_error": "Must be {expected}",
    "list_type": "Must be a list",
    "string_too_short": "Must not be empty",
    "too_short": "Must have a length of at least {min_length}, not {actual_length}",
    "too_long": "Must have a length of at most {max_length}, not {actual_length}",
    "model_type": "Must be a JSON object",
}
"""Pydantic's error types in our words. Its own are about a form's input."""
AnyBody = TypeVar("AnyBody", bound=Body)
OtherBody = TypeVar("OtherBody", bound=Body)


@overload
async def read_body(request: Request, kind: type[AnyBody], /) -> AnyBody: ...
@overload
async def read_body(request: Request, kind: type[AnyBody], other: type[OtherBody], /) -> AnyBody | OtherBody: ...
async def read_body(request: Request, *kinds: type[Body]) -> Body:
    """Receive, parse and validate the body of a request.

    Args:
        request: the request.
        kinds: the kinds of body that the route takes. The keys tell which one this is; see :func:`choose_kind`.

    Raises:
        RequestError: the body is not JSON or not valid. The message names the key and quotes no value. Or the client
            left before all of the body arrived.
        RequestMemoryFullError, RequestTooLargeError: its values would take too much memory.
        RequestTimeoutError: parsing it took too long.
    """
    raw = await _receive(request)
    serving, reservation = serving_of(request), reservation_of(request)
    limits, strings = serving.settings.limits, max(kind.strings_per_text for kind in kinds)
    if len(raw) <= _SHORT_BYTES:
        reservation.take(parsed_bytes(raw, limits, strings))
        body = parse(raw, *kinds)
    else:
        count_bytes = functools.partial(parsed_bytes, raw, limits, strings)
        reservation.take(await wait_or_cancel(request, serving.json_worker.run(lambda _: count_bytes())))
        body = await wait_or_cancel(request, serving.json_worker.run(lambda _: parse(raw, *kinds)))
    reservation.give_back(len(raw) + len(raw) // 8)
    return body


async def _receive(request: Request) -> bytes | bytearray:
    """Receive all bytes of a body. Those of a short body have already arrived."""
    message = await _next_message(request)
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return first
    raw = bytearray(first)
    try:
        async with asyncio.timeout_at(request.scope.get(DEADLINE, (None,))[0]):
            while message.get("more_body", False):
                message = await _next_message(request)
                raw += message.get("body", b"")
    except TimeoutError:
        raise RequestError(408, "The body did not arrive in time.", "slow_request") from None
    return raw


async def _next_message(request: Request) -> Message:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise client_left()
    return message


def parsed_bytes(raw: bytes | bytearray, limits: Limits, strings_per_text: int = 1) -> int:
    """The most memory that the values of a JSON document can take, in bytes.

    >>> parsed_bytes(b'["a", "b", 3]', Limits())
    253

    Raises:
        RequestError: there are more values than any body may have.
    """
    plain: bytes | bytearray = raw
    if len(raw) > _ROUGH_COUNT_BYTES:
        _check_count("texts and keys", (raw.count(b'"') - raw.count(b'\\"')) // 2, limits.texts * strings_per_text)
        plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
        plain = _STRING.sub(b"", plain)
    lists, objects = plain.count(b"["), plain.count(b"{")
    values = plain.count(b",") + plain.count(b":") + lists
    if len(raw) > _ROUGH_COUNT_BYTES:
        _check_count("lists", lists, limits.texts)
        _check_count("objects", objects, limits.texts)
        _check_count("values", values, limits.characters)
    bytes_per_character = 1 if raw.isascii() and b"\\u" not in raw else 4
    return bytes_per_character * len(raw) + _VALUE_BYTES * values + _OBJECT_BYTES * objects


def _check_count(things: str, count: int, limit: int) -> None:
    if count > limit + _OTHER_VALUES:
        message = f"{count:,} {things} are too many for one request. The limit is {limit:,}."
        raise RequestError(400, message, "too_many_values")


def parse(raw: bytes | bytearray, *kinds: type[AnyBody]) -> AnyBody:
    """Parse and validate the bytes of a body.

    Raises:
        RequestError: the body is not JSON or not valid.
    """
    try:
        value = from_json(raw, cache_strings="keys")
    except ValueError as error:
        raise RequestError(400, f"The body is not JSON: {error}.", "invalid_json") from None
    if not isinstance(value, dict):
        raise RequestError(400, "The body must be a JSON object.", "invalid_value")
    kind = choose_kind(value, kinds)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _request_error(error, kind) from None


def choose_kind(value: dict[str, Any], kinds: Sequence[type[AnyBody]]) -> type[AnyBody]:
    """The kind of body that has most of its required keys in ``value``; of several, the first."""
    return max(
        kinds, key=lambda kind: sum(key in value for key, each in kind.model_fields.items() if each.is_required())
    )


def _request_error(error: ValidationError, kind: type[Body]) -> RequestError:
    details = error.errors(include_url=False, include_input=False)
    # A value that may have one of several types gives an error for each of them. The deepest error belongs to the type
    # that the client meant. Of errors in a list, it is the last one, because the value fitted up to there.
    detail = max(details, key=lambda each: (len(each["loc"]), [part for part in each["loc"] if isinstance(part, int)]))
    key = str(detail["loc"][0]) if detail["loc"] else None
    if detail["type"] == "unknown_key":
        unknown = str(detail["ctx"]["key"])[:80]
        return RequestError(400, f"Unknown key {unknown!r}. Leave it out.", "unknown_key", unknown)
    place = ".".join(str(part) for part in detail["loc"] if isinstance(part, int) or _is_key(part))
    problem = detail["msg"].replace("Input should be", "Must be")
    if detail["type"] in _PROBLEMS:
        problem = _PROBLEMS[detail["type"]].format(**detail.get("ctx", {}))
    if key is not None and len({each["msg"] for each in details if each["loc"][:1] == detail["loc"][:1]}) > 1:
        allowed = kind.model_fields[key].description or ""
        problem = f"Must be {allowed[:1].lower()}{allowed[1:].rstrip('.')}"
    return RequestError(400, f"{place[:80] or 'The body'}: {problem}.", "invalid_value", key)


def _is_key(part: str) -> bool:
    """True if a part of a location is a key of the body, and not the name of a type that its value may have."""
    return part.isidentifier() and part not in {"str", "int"}
