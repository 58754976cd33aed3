"""A trace, a comparison or a map as a page: one file, which asks nothing of the network and can be sent to anyone.

Its parts are in ``page/``. The text goes into it as JSON, and onto the screen as text: HTML or script in it is shown
and not run. A content security policy lets only the page's own scripts run, and nothing be fetched at all.

The page of the server is made of the same parts; see ``pellucid.server.http.page``.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib import resources
from typing import Any, NamedTuple

import pellucid
from pellucid.explain.comparison import Comparison
from pellucid.explain.render import contents
from pellucid.explain.text_map import TextMap
from pellucid.explain.trace import Trace

_VIEWS = (
    "elements",
    "colors",
    "heatmap",
    "tokens",
    "bars",
    "drift",
    "attention",
    "trace",
    "comparison",
    "plane",
    "map",
    "views",
)
_STYLES = ("page", "strips", "maps", "charts", "plane")
_NOTEBOOK_ROOM = 500_000
"""In a notebook, a page is kept with every cell that shows one."""


class Page(NamedTuple):
    """A whole page, to be written in UTF-8, and its content security policy, which it has in itself as well."""

    content: str
    policy: str


def page(subject: Trace | Comparison | TextMap, *, room: int = contents.ROOM) -> str:
    """A whole HTML page, to be written in UTF-8.

    Args:
        subject: what to show.
        room: how many characters the data may take; attention is left out for it, and the page says so.
    """
    data = inert_json(contents.of(subject, room))
    return assemble(
        part("explain/render", "main.html"),
        "All that this page shows is in this file; it asks nothing of the network.",
        script=part("explain/render", "main.js"),
        data=f'<script type="application/json" id="data">{data}</script>\n',
    ).content


def assemble(main: str, footer: str, *, script: str, style: str = "", data: str = "", connect: str = "") -> Page:
    """A page of its own parts and those of ``page/``: the frame, the looks, and the functions that draw the views.

    Args:
        main: HTML: what stands in the page before its script runs.
        footer: HTML: what the page says of itself at its end.
        script: what runs after the views' scripts, in the same module.
        style: what comes after the views' styles.
        data: HTML: an element with data.
        connect: what the page may ask, as in a policy (https://www.w3.org/TR/CSP3/#directive-connect-src); "": nothing.
    """
    theme = part("explain/render", "theme.js")
    script = "".join(part("explain/render", f"{name}.js") for name in _VIEWS) + script
    style = "".join(part("explain/render", f"{name}.css") for name in _STYLES) + style
    policy = (
        f"default-src 'none'; script-src {hash_source(theme)} {hash_source(script)}; style-src {hash_source(style)}; "
        f"img-src data:; base-uri 'none'; form-action 'none'" + (f"; connect-src {connect}" if connect else "")
    )
    parts = {"policy": policy, "style": style, "theme": theme, "script": script, "data": data}
    parts |= {"main": main, "footer": footer, "version": pellucid.__version__}
    # In one go, so that a text that looks like one of the marks stays as it is.
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], part("explain/render", "page.html")), policy)


def notebook(subject: Trace | Comparison) -> str:
    """The page in a frame of its own, which can reach nothing of the notebook around it."""
    content = html.escape(page(subject, room=_NOTEBOOK_ROOM))
    # Colours are for frames whose notebook has a style of its own.
    return (
        f'<iframe title="Pellucid" sandbox="allow-scripts" srcdoc="{content}" width="100%" height="720" '
        f'style="border: 1px solid #8885; border-radius: 8px"></iframe>'
    )


def part(package: str, name: str) -> str:
    """A file of the folder ``page`` of one of Pellucid's packages."""
    return resources.files(pellucid).joinpath(package, "page", name).read_text(encoding="utf-8")


def inert_json(value: Any) -> str:
    """JSON of ASCII alone, in which nothing can end or begin an element of HTML."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def hash_source(content: str) -> str:
    """As the policy names a script or a style (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
