"""The page at ``/``: a text, two or many, to be looked into; and live figures of the server.

It is one file, made of those in ``page/`` and of the views of ``pellucid explain --html``
(:mod:`pellucid.explain.render.html`). It asks the server it came from, and no other: its content security policy would
not let it.
"""

from __future__ import annotations

import functools

from pellucid.explain.render.html import Page, assemble, part

_SCRIPTS = ("client", "figures", "tabs", "panel", "home")


@functools.cache
def home() -> Page:
    """The page, to be served as ``text/html; charset=utf-8``, and the value of its ``Content-Security-Policy`` header.

    >>> content, policy = home()
    >>> policy.startswith("default-src 'none'; script-src 'sha256-")
    True
    """
    made = assemble(
        part("server/http", "home.html"),
        "It asks the server that it came from, and nothing else.",
        script="".join(part("server/http", f"{name}.js") for name in _SCRIPTS),
        style=part("server/http", "home.css"),
        connect="'self'",
    )
    # No other page may put it in a frame; a policy can say so in a header only.
    return made._replace(policy=f"{made.policy}; frame-ancestors 'none'")
