"""The page at ``/docs``, made from the API's OpenAPI description. It is self-contained and has no script."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from pellucid.explain.render.html import Page, hash_source

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; font-size: 1.2rem; }
article { border-top: 1px solid #8885; padding: .75rem 0; }
h3 { font-size: 1rem; margin: 0; } p { margin: .25rem 0; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.method { color: #0a7a5a; } @media (prefers-color-scheme: dark) { .method { color: #5fd3ac; } }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin-top: .5rem; }
td { padding: .2rem .75rem .2rem 0; vertical-align: top; } td:first-child { white-space: nowrap; }
"""


def api_page(openapi: dict[str, Any]) -> Page:
    """The page that describes an API.

    Args:
        openapi: the API's description (https://spec.openapis.org/oas/v3.1.0).
    """
    groups: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    title = html.escape(f"{openapi['info']['title']} {openapi['info']['version']}")
    parts = "".join(
        f"<section><h2>{html.escape(tag)}</h2>{''.join(operations)}</section>" for tag, operations in groups.items()
    )
    policy = f"default-src 'none'; style-src {hash_source(_STYLE)}; base-uri 'none'; frame-ancestors 'none'"
    return Page(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f'<p>Programs can read <a href="openapi.json">the OpenAPI description</a>. Requests and responses are JSON.</p>'
        f"{parts}</main></body></html>\n",
        policy.replace("style-src", "img-src data:; style-src"),
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(key)}</code></td><td>{html.escape(description)}</td></tr>"
        for key, description in _parameters(operation)
    )
    return (
        f'<article><h3><code><span class="method">{method.upper()}</span> {html.escape(path)}</code></h3>'
        f"<p><strong>{html.escape(operation['summary'])}.</strong> {html.escape(operation.get('description', ''))}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + "</article>"
    )


def _parameters(operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The name and description of each query parameter and each key of the body."""
    for parameter in operation.get("parameters", []):
        yield parameter["name"], parameter.get("description", f"In the {parameter['in']}.")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for key, value in body.get("properties", {}).items():
        required = "Required." if key in body.get("required", ()) else ""
        choices = [repr(choice) for choice in value.get("enum", ())]
        default = f"Default: {value['default']!r}." if value.get("default") not in (None, "") else ""
        yield key, " ".join(filter(None, [required, value.get("description", ""), " or ".join(choices), default]))
