"""A trace or a comparison as a page: one file, which asks nothing of the network and can be sent to anyone.

Its parts are in ``page/``. The text goes into it as JSON, and onto the screen as text: HTML or script in it is shown
and not run. A content security policy lets only the page's own scripts run, and nothing be fetched at all.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib import resources
from typing import Any

import pellucid
from pellucid.explain import contents
from pellucid.explain.compare import Comparison
from pellucid.explain.trace import Trace

_SCRIPTS = ("elements", "colors", "heatmap", "tokens", "bars", "drift", "attention", "trace", "comparison", "main")
_STYLES = ("page", "strips", "maps", "charts")
_NOTEBOOK_ROOM = 500_000
"""In a notebook, a page is kept with every cell that shows one."""


def page(subject: Trace | Comparison, *, room: int = contents.ROOM) -> str:
    """A whole HTML page, to be written in UTF-8.

    Args:
        subject: what to show.
        room: how many characters the data may take; attention is left out for it, and the page says so.
    """
    told = contents.of_trace(subject, room) if isinstance(subject, Trace) else contents.of_comparison(subject)
    theme = _part("theme.js")
    script = "".join(_part(f"{name}.js") for name in _SCRIPTS)
    style = "".join(_part(f"{name}.css") for name in _STYLES)
    policy = (
        f"default-src 'none'; script-src {hash_source(theme)} {hash_source(script)}; style-src {hash_source(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": policy, "style": style, "theme": theme, "script": script, "data": inert_json(told)}
    # In one go, so that a text that looks like one of the marks stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _part("page.html"))


def notebook(subject: Trace | Comparison) -> str:
    """The page in a frame of its own, which can reach nothing of the notebook around it."""
    content = html.escape(page(subject, room=_NOTEBOOK_ROOM))
    # Colours are for frames whose notebook has a style of its own.
    return (
        f'<iframe title="Pellucid" sandbox="allow-scripts" srcdoc="{content}" width="100%" height="720" '
        f'style="border: 1px solid #8885; border-radius: 8px"></iframe>'
    )


def _part(name: str) -> str:
    text = resources.files(pellucid).joinpath("explain", "page", name).read_text(encoding="utf-8")
    return text.replace("{{version}}", pellucid.__version__)


def inert_json(value: Any) -> str:
    """JSON of ASCII alone, in which nothing can end or begin an element of HTML."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def hash_source(content: str) -> str:
    """As the policy names a script or a style (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
