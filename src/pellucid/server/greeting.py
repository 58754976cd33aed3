"""What ``pellucid serve`` says once it is ready: where it listens, what it serves, how to call and to stop it."""

from __future__ import annotations

from collections.abc import Mapping

from pellucid.errors import printable
from pellucid.server.core.kinds import Kind, in_words
from pellucid.server.settings import Settings

_EXAMPLES: dict[Kind, tuple[str, str]] = {
    "embedder": ("/v1/embeddings", '{"input": "Hello"}'),
    "sparse_embedder": ("/embed_sparse", '{"inputs": "Hello"}'),
    "multi_vector_embedder": ("/embed_all", '{"inputs": "Hello"}'),
    "reranker": ("/v1/rerank", '{"query": "cats", "documents": ["Dogs bark", "Cats purr"]}'),
    "classifier": ("/predict", '{"inputs": "Hello"}'),
}
"""For each kind of model, a route and a body to try."""


def first_line(settings: Settings, url: str) -> str:
    """One line, which programs may wait for."""
    return printable(f"Pellucid serves {', '.join(settings.models)} at {url}")


def greeting(settings: Settings, url: str, kinds: Mapping[str, Kind | None]) -> str:
    """The first line, and a block below it for somebody who sits at a terminal.

    Args:
        settings: the server's settings.
        url: where it listens. A server that listens on every address of the machine is reached at 127.0.0.1.
        kinds: the kind of each model by its name; None for those that are not known yet.
    """
    local = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    models = [f"{name} ({in_words(each)})" if each else name for name, each in kinds.items()]
    models += [f"{alias} = {source}" for alias, source in settings.aliases]
    key = '-H "Authorization: Bearer $KEY" ' if settings.keys else ""
    kind = next(iter(kinds.values()), None)
    path, body = _EXAMPLES[kind or "embedder"]
    rows = {
        "Page": [f"{local}/"],
        "API": [f"{local}/docs"],
        "Models": [printable(model) for model in models],
        "Try it": [f"curl {key}--json '{body}' {local}{path}"],
        "Stop": ["Ctrl-C"],
    }
    lines = [
        f"  {label if not number else '':8}{text}" for label, texts in rows.items() for number, text in enumerate(texts)
    ]
    return "\n".join([first_line(settings, url), "", *lines, ""])
