"""The page at ``/``, which shows what happens to one text, two or many, and live statistics of the server.

It is one file, made of those in ``page/`` and of the pages of ``pellucid explain``
(:mod:`pellucid.explain.render.html`). It sends requests only to its own server: its content security policy forbids all
others.
"""

from __future__ import annotations

import functools

from pellucid.explain.render.html import Page, assemble, read_part

_SCRIPTS = ("client", "figures", "tabs", "link", "panel", "home")


@functools.cache
def home_page() -> Page:
    """The page, as ``text/html; charset=utf-8``, and the value of its ``Content-Security-Policy`` header.

    >>> content, policy = home_page()
    >>> policy.startswith("default-src 'none'; script-src 'sha256-")
    True
    """
    page = assemble(
        read_part("server/http", "home.html"),
        "It sends requests only to its own server.",
        script="".join(read_part("server/http", f"{name}.js") for name in _SCRIPTS),
        style=read_part("server/http", "home.css"),
        connect="'self'",
    )
    # No other page may show this one in a frame. Only the header can say so, not the policy inside the page.
    return page._replace(policy=f"{page.policy}; frame-ancestors 'none'")
