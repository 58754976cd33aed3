"""The API's description: an example call of each route in curl, and the page at ``/docs``.

The page is made from the OpenAPI description. It is self-contained, has no script, and loads nothing.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pellucid.explain.render.html import Page, hash_source

EXAMPLES = "x-codeSamples"
"""The key of an operation for calls of it. Redoc, and other programs that show OpenAPI descriptions, know it."""
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; font-size: 1.2rem; }
nav { columns: 18rem; font-size: .9rem; } nav a { display: block; }
article { border-top: 1px solid #8885; padding: .75rem 0; scroll-margin-top: .5rem; }
h3 { font-size: 1rem; margin: 0; } p { margin: .25rem 0; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
a { color: #10708f; } .method { color: #0a7a5a; }
pre { background: #8881; border-radius: .3rem; margin: .6rem 0 0; padding: .5rem .75rem; white-space: pre-wrap;
  user-select: all; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin-top: .5rem; }
td { padding: .2rem .75rem .2rem 0; vertical-align: top; } td:first-child { width: 13rem; }
@media (prefers-color-scheme: dark) { a { color: #6cc6de; } .method { color: #5fd3ac; } }
@media (max-width: 40rem) { td { display: block; padding: 0; } td:first-child { width: auto; padding-top: .4rem; } }
"""


def with_examples(openapi: dict[str, Any], url: str, *, model: str, needs_key: bool) -> dict[str, Any]:
    """A copy of an OpenAPI description in which each operation has curl commands that work when they are pasted.

    Args:
        openapi: the API's description (https://spec.openapis.org/oas/v3.1.0).
        url: the server's URL, without a slash at the end.
        model: the name of a model that the server serves.
        needs_key: the commands send an API key, which they take from the variable ``KEY``.
    """

    def examples(method: str, path: str, operation: dict[str, Any]) -> Iterator[dict[str, str]]:
        """An example for each kind of body that the operation takes."""
        schema = _body(operation)
        if schema is None and method != "get":
            raise AssertionError(f"{method} {path} has no example")
        for body in [None] if schema is None else schema["examples"]:
            parts = ["curl"]
            if needs_key:
                parts += ["-H", '"Authorization: Bearer $KEY"']
            if body is not None:
                parts += ["--json", shlex.quote(json.dumps(body))]
            parts.append(shlex.quote(url + re.sub(r"\{\w+\}", quote(model), path)))
            yield {"lang": "Shell", "label": "curl", "source": " ".join(parts)}

    paths = {
        path: {
            method: operation | {EXAMPLES: list(examples(method, path, operation))}
            for method, operation in methods.items()
        }
        for path, methods in openapi["paths"].items()
    }
    return openapi | {"paths": paths}


def api_page(openapi: dict[str, Any], *, needs_key: bool) -> Page:
    """The page that describes an API.

    Args:
        openapi: the API's description, as :func:`with_examples` returns it.
        needs_key: say what ``KEY`` is in the examples.
    """
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append((method, path, operation))
    title = html.escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    links = "".join(
        f'<a href="#{_anchor(method, path)}">{_heading(method, path)}</a>'
        for operations in groups.values()
        for method, path, _ in operations
    )
    parts = "".join(
        f"<section><h2>{html.escape(tag)}</h2>{''.join(_article(*each) for each in operations)}</section>"
        for tag, operations in groups.items()
    )
    key = " Before you paste an example, set the variable <code>KEY</code> to one of the server's API keys." * needs_key
    policy = (
        f"default-src 'none'; img-src data:; style-src {hash_source(_STYLE)}; base-uri 'none'; frame-ancestors 'none'"
    )
    return Page(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f"<p>{_inline(openapi['info']['summary'])} Requests and responses are JSON. A click on an example selects it."
        f'{key} Programs can read <a href="openapi.json">the OpenAPI description</a>.</p>'
        f"<nav>{links}</nav>{parts}</main></body></html>\n",
        policy,
    )


def _article(method: str, path: str, operation: dict[str, Any]) -> str:
    calls = [
        _table(keys) + f"<pre><code>{html.escape(example['source'])}</code></pre>"
        for keys, example in zip(_key_lists(operation), operation[EXAMPLES], strict=True)
    ]
    return (
        f'<article id="{_anchor(method, path)}"><h3>{_heading(method, path)}</h3>'
        f"<p><strong>{_inline(operation['summary'])}.</strong> {_inline(operation['description'])}</p>"
        f"{'<p>Or:</p>'.join(calls)}</article>"
    )


def _table(keys: list[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td><code>{html.escape(key)}</code></td><td>{text}</td></tr>" for key, text in keys)
    return f"<table>{rows}</table>" if rows else ""


def _heading(method: str, path: str) -> str:
    return f'<code><span class="method">{method.upper()}</span> {html.escape(path)}</code>'


def _anchor(method: str, path: str) -> str:
    """The id of a route on the page.

    >>> _anchor("get", "/v1/models/{name}")
    'get-v1-models-name'
    """
    return "-".join([method, *re.findall(r"\w+", path)])


def _inline(markdown: str) -> str:
    """A sentence of a description as HTML. Of Markdown, descriptions use only code between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(markdown))


def _body(operation: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's body."""
    schema: dict[str, Any] | None = (
        operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    )
    return schema


def _key_lists(operation: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
    """For each kind of body that a route takes: each parameter and each key, and its description as HTML."""
    parameters = [
        (parameter["name"], _describe(parameter["schema"] | parameter, parameter["required"]))
        for parameter in operation.get("parameters", [])
    ]
    schema = _body(operation) or {}
    for kind in schema.get("anyOf", [schema]):
        yield [*parameters, *_properties(kind, "")]


def _properties(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in schema.get("properties", {}).items():
        yield f"{prefix}{key}", _describe(value, key in schema.get("required", ()))
        for inner in value.get("anyOf", [value]):
            yield from _properties(inner, f"{prefix}{key}.")


def _describe(schema: dict[str, Any], required: bool) -> str:
    """Whether a key is required, what it means, and its default, as HTML."""
    default = schema.get("default")
    sentences = [
        "Required." if required else "",
        _inline(schema["description"]),
        f"Default: <code>{html.escape(json.dumps(default))}</code>." if default is not None else "",
    ]
    return " ".join(filter(None, sentences))
