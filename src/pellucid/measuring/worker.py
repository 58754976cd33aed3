"""One round of one model, in a process of its own: ``python -m pellucid.measuring.worker FOLDER``.

Loading and memory are those of this model alone, because nothing else has been loaded here. FOLDER has ``job.json``
and ``texts.json``; the answer goes to ``result.json``, and the vectors to ``vectors.npy`` if the job asks for them.

Standard input is a pipe that the parent holds open: when it ends, so does this process, however the parent has ended.
Nothing but the standard library is imported before the memory of a bare interpreter is known.
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
_WARM_UP_TEXTS = 256


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's getrusage also counts what the parent held when it started this process.
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(folder: Path, model: str, options: dict[str, Any], keep_vectors: bool) -> dict[str, Any]:
    """Load a model and embed the texts of ``folder``.

    Args:
        folder: where ``texts.json`` is, and where vectors are kept.
        model: as :class:`~pellucid.Embedder` takes it.
        options: likewise.
        keep_vectors: whether to write ``vectors.npy``, ``float32[n, d]``.

    Returns:
        Seconds, bytes and counts; :class:`~pellucid.measuring.rounds.Figures` says which.
    """
    bare = peak_memory()
    import numpy as np

    from pellucid.embedder import Embedder
    from pellucid.measuring.texts import QUERY
    from pellucid.model.load import count_parameters

    texts = json.loads((folder / "texts.json").read_bytes())
    start = time.perf_counter()
    embedder = Embedder(model, **options, on_truncation="ignore")
    loading = time.perf_counter() - start

    embedder.embed_documents(texts[:_WARM_UP_TEXTS])
    queries = []
    for _ in range(QUERIES):
        start = time.perf_counter()
        embedder.embed_query(QUERY)
        queries.append(time.perf_counter() - start)
    start = time.perf_counter()
    vectors = embedder.embed_documents(texts)
    embedding = time.perf_counter() - start
    memory = peak_memory() - bare

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
        "loading_seconds": loading,
        "query_seconds": statistics.median(queries),
        "texts_seconds": embedding,
    }


def _end_with_the_parent() -> None:
    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Do the job in the folder that the command line names."""
    from pellucid.errors import PellucidError

    _end_with_the_parent()
    # The parent says what there is to say of Ctrl-C; where it is ignored, as in a script's background, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder = Path(sys.argv[1])
    try:
        answer = measure(folder, **json.loads((folder / "job.json").read_bytes()))
    except PellucidError as error:
        answer = {"error": str(error)}
    (folder / "result.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
