"""A script, started by ``lifecycle.py``: imports Pellucid, loads a model, embeds a text, and says what each did.

It is no module to import, and imports nothing of Pellucid before it watches. Python reports every connection that is
made to an audit hook (PEP 578).
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def memory() -> int:
    """What the process holds, in bytes: now, or where that is not known, at most so far."""
    now = Path("/proc/self/statm")
    if now.is_file():
        return int(now.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Read what to do from standard input, and write what was seen to standard output, both as JSON."""
    asked = json.loads(sys.stdin.read())
    connections: list[str] = []
    phases: list[dict[str, Any]] = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            connections.append(str(arguments[1][0]))

    def phase(name: str, work: Callable[[], Any]) -> Any:
        connections.clear()
        held, modules, start = memory(), len(sys.modules), time.perf_counter()
        result = work()
        phases.append(
            {
                "name": name,
                "seconds": time.perf_counter() - start,
                "memory": memory() - held,
                "modules": len(sys.modules) - modules,
                "connections": list(dict.fromkeys(connections)),
            }
        )
        return result

    def import_it() -> Any:
        from pellucid import Embedder

        return Embedder

    sys.addaudithook(hear)
    embedder_class = phase("import", import_it)
    from pellucid.errors import PellucidError

    try:
        embedder = phase("construct", lambda: embedder_class(asked["model"], **asked["options"]))
        phase("call", lambda: embedder.embed_query(asked["text"]))
    except PellucidError as error:
        sys.exit(str(error))
    files = []
    for name in embedder.files.wanted():
        path, digest = embedder.files.path(name), embedder.files.listing.get(name)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        official = None if digest is None else digest.matches(path)
        files.append({"name": name, "size": path.stat().st_size, "sha256": sha256, "official": official})
    told = {"model_name": embedder.model_name, "source": embedder.files.source, "folder": str(embedder.files.folder)}
    sys.stdout.write(json.dumps({**told, "phases": phases, "files": files}))


if __name__ == "__main__":
    main()
