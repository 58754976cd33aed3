"""An explanation as an HTML page: one file to send to anyone, which uses no network.

The parts of a page are in ``page/``. A text gets into the page as JSON and onto the screen as plain text, so HTML or
script in it is shown and not run. A content security policy allows only the page's own scripts to run, and lets
nothing be fetched.

The server's page is made of the same parts; see ``pellucid.server.http.page``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any, NamedTuple

import pellucid
from pellucid.explain.render import contents

_SCRIPTS = (
    "elements",
    "colors",
    "download",
    "heatmap-picture",
    "heatmap",
    "tokens",
    "bars",
    "drift",
    "attention",
    "trace",
    "quotes",
    "frame",
    "comparison",
    "passage",
    "score",
    "sparse",
    "alignment",
    "zoom",
    "pointers",
    "dots",
    "plane",
    "plane-picture",
    "legend",
    "texts",
    "map",
    "views",
)
_STYLES = ("page", "strips", "maps", "charts", "passage", "plane")


class Page(NamedTuple):
    """A whole page, to be written in UTF-8, and its content security policy, which the page itself contains too."""

    content: str
    policy: str


def page(subject: contents.Subject, *, max_characters: int = contents.MAX_CHARACTERS) -> str:
    """A whole HTML page, to be written in UTF-8.

    Args:
        subject: what to show.
        max_characters: the most characters that the data may take. A trace leaves out attention to stay below, and the
            page says so.
    """
    data = inert_json(contents.page_data(subject, max_characters))
    return assemble(
        read_part("explain/render", "main.html"),
        "Everything on this page is in this file. It loads nothing from the network.",
        script=read_part("explain/render", "main.js"),
        data=f'<script type="application/json" id="data">{data}</script>\n',
    ).content


def assemble(main: str, footer: str, *, script: str, style: str = "", data: str = "", connect: str = "") -> Page:
    """Build a page from the parts in ``page/`` (the frame, the styles, the functions that draw the views) and others.

    Args:
        main: the HTML of the page's main element before its script runs.
        footer: the HTML of the sentence at the end of the page.
        script: JavaScript that runs after the scripts of the views, in the same module.
        style: CSS that follows the styles of the views.
        data: the HTML of an element with data.
        connect: the addresses that the page may connect to, as in a policy
            (https://www.w3.org/TR/CSP3/#directive-connect-src); "" for none.
    """
    theme = read_part("explain/render", "theme.js")
    script = "".join(read_part("explain/render", f"{name}.js") for name in _SCRIPTS) + script
    style = "".join(read_part("explain/render", f"{name}.css") for name in _STYLES) + style
    policy = (
        f"default-src 'none'; script-src {hash_source(theme)} {hash_source(script)}; style-src {hash_source(style)}; "
        f"img-src data:; base-uri 'none'; form-action 'none'" + (f"; connect-src {connect}" if connect else "")
    )
    parts = {"policy": policy, "style": style, "theme": theme, "script": script, "data": data}
    parts |= {"main": main, "footer": footer, "version": pellucid.__version__}
    frame = read_part("explain/render", "page.html")
    # One pass over the frame alone: a text that contains "{{script}}" stays as it is.
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda placeholder: parts[placeholder[1]], frame), policy)


def read_part(package: str, name: str) -> str:
    """Read a file from the folder ``page`` of one of Pellucid's packages."""
    return resources.files(pellucid).joinpath(package, "page", name).read_text(encoding="utf-8")


def inert_json(value: Any) -> str:
    """JSON in ASCII that is safe inside an HTML element: nothing in it can begin or end an element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def hash_source(content: str) -> str:
    """The name of a script or a style in the policy (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
