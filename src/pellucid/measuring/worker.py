"""One round of one model, in a process of its own: ``python -m pellucid.measuring.worker FOLDER``.

Loading time and memory belong to this model alone, because the process has loaded nothing before. FOLDER contains
``job.json`` and ``texts.json``. The worker writes ``result.json``, and ``vectors.npy`` if the job asks for the vectors.

Standard input is a pipe that the parent keeps open. When the pipe ends, so does this process, however the parent ended.
The worker first measures the memory of a bare interpreter, so until then it imports only the standard library.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

QUERIES = 50
"""A round embeds the query this many times, and reports the median."""
_WARM_UP_TEXTS = 256


def peak_memory() -> int:
    """The most memory that this process has used at one time, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # On Linux, getrusage also counts the parent's memory at the time of the fork.
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(folder: Path, model: str, options: dict[str, Any], keep_vectors: bool) -> dict[str, Any]:
    """Load a model and embed the texts in ``folder``.

    Args:
        folder: the folder with ``texts.json``; the vectors go there too.
        model: as for :class:`~pellucid.Embedder`.
        options: other options of :class:`~pellucid.Embedder`.
        keep_vectors: True writes ``vectors.npy``, ``float32[n, d]``.

    Returns:
        The values of a :class:`~pellucid.measuring.rounds.ModelMeasurement` for one round, by name.
    """
    bare_memory = peak_memory()
    import numpy as np

    from pellucid.embedder import Embedder
    from pellucid.measuring.texts import QUERY
    from pellucid.model.load import count_parameters

    texts = json.loads((folder / "texts.json").read_bytes())
    start = time.perf_counter()
    embedder = Embedder(model, **options, on_truncation="cut")
    loading_seconds = time.perf_counter() - start

    embedder.embed_documents(texts[:_WARM_UP_TEXTS])
    query_seconds = []
    for _ in range(QUERIES):
        start = time.perf_counter()
        embedder.embed_query(QUERY)
        query_seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    vectors = embedder.embed_documents(texts)
    texts_seconds = time.perf_counter() - start
    memory = peak_memory() - bare_memory

    if keep_vectors:
        np.save(folder / "vectors.npy", vectors)
    tokens = embedder.count_tokens(texts)
    return {
        "name": embedder.model_name,
        "source": embedder.files.source,
        "family": embedder.spec.encoder.family,
        "dimensions": embedder.dimensions,
        "max_tokens": embedder.max_tokens,
        "parameters": count_parameters(embedder.files),
        "disk_bytes": embedder.files.size(),
        "tokens": int(tokens.clip(max=embedder.max_tokens).sum()),
        "texts_cut": int((tokens > embedder.max_tokens).sum()),
        "memory_bytes": memory,
        "loading_seconds": loading_seconds,
        "query_seconds": statistics.median(query_seconds),
        "texts_seconds": texts_seconds,
    }


def _exit_with_parent() -> None:
    """Start a thread that ends this process when the parent closes the pipe."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Do the job in the folder named on the command line."""
    from pellucid.errors import PellucidError

    _exit_with_parent()
    # Ctrl-C ends this process without a traceback: the parent reports it. If it is ignored, as in a background job of a
    # script, it stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder = Path(sys.argv[1])
    try:
        result = measure(folder, **json.loads((folder / "job.json").read_bytes()))
    except PellucidError as error:
        result = {"error": str(error)}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
