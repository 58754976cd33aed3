"""What ``pellucid serve`` says once it is ready: where it listens, what it serves, how to call and to stop it."""

from __future__ import annotations

from pellucid.errors import printable
from pellucid.server.core.models import served_name
from pellucid.server.settings import Settings


def first_line(settings: Settings, url: str) -> str:
    """One line, which programs may wait for."""
    return printable(f"Pellucid serves {', '.join(settings.models)} at {url}")


def greeting(settings: Settings, url: str) -> str:
    """The first line, and a block below it for somebody who sits at a terminal.

    Args:
        settings: the server's settings.
        url: where it listens. A server that listens on every address of the machine is reached at 127.0.0.1.
    """
    local = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    models = [served_name(source) for source in settings.models]
    models += [f"{alias} = {source}" for alias, source in settings.aliases]
    key = '-H "Authorization: Bearer $KEY" ' if settings.keys else ""
    curl = f'curl {key}--json \'{{"input": "Hello"}}\' {local}/v1/embeddings'
    rows = {
        "Page": [f"{local}/"],
        "API": [f"{local}/docs"],
        "Models": [printable(model) for model in models],
        "Try it": [curl],
        "Stop": ["Ctrl-C"],
    }
    lines = [
        f"  {label if not number else '':8}{text}" for label, texts in rows.items() for number, text in enumerate(texts)
    ]
    return "\n".join([first_line(settings, url), "", *lines, ""])
