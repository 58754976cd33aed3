"""A script that imports Pellucid, loads a model, embeds a text, and reports what each step cost.

``lifecycle.py`` starts it as a process of its own. It is not a module to import, and it imports nothing of Pellucid
before it starts to measure. Python reports every network connection to an audit hook (PEP 578).
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
    """The process's current memory in bytes; on systems that do not report it, the most it has used so far."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Read a request from standard input and write a report to standard output, both as JSON."""
    request = json.loads(sys.stdin.read())
    connections: list[str] = []
    phases: list[dict[str, Any]] = []

    def record_connection(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            connections.append(str(arguments[1][0]))

    def measure(name: str, work: Callable[[], Any]) -> Any:
        connections.clear()
        memory_before, modules_before, start = memory(), len(sys.modules), time.perf_counter()
        result = work()
        phases.append(
            {
                "name": name,
                "seconds": time.perf_counter() - start,
                "memory": memory() - memory_before,
                "modules": len(sys.modules) - modules_before,
                "connections": list(dict.fromkeys(connections)),
            }
        )
        return result

    def import_embedder() -> Any:
        from pellucid import Embedder

        return Embedder

    sys.addaudithook(record_connection)
    embedder_class = measure("import", import_embedder)
    from pellucid.errors import PellucidError

    try:
        embedder = measure("construct", lambda: embedder_class(request["model"], **request["options"]))
        measure("call", lambda: embedder.embed_query(request["text"]))
    except PellucidError as error:
        sys.exit(str(error))
    files = []
    for name in embedder.files.wanted():
        path, digest = embedder.files.path(name), embedder.files.listing.get(name)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        official = None if digest is None else digest.matches(path)
        files.append({"name": name, "size": path.stat().st_size, "sha256": sha256, "official": official})
    model = {"model_name": embedder.model_name, "source": embedder.files.source, "folder": str(embedder.files.folder)}
    sys.stdout.write(json.dumps({**model, "phases": phases, "files": files}))


if __name__ == "__main__":
    main()
