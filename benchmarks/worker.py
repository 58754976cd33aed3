"""One contender in a process of its own, with its own Python and nothing else in memory.

It speaks JSON lines. ``load`` answers how long loading took, ``embed`` the seconds of each repetition and the peak
memory, ``peaks`` what this machine's arithmetic can do at most. An error is an answer too: ``{"error": …}``.

With ``--cold`` it embeds one query and prints the vector's first number, for the parent to time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()


class Worker:
    """The state between two lines: one loaded contender."""

    def __init__(self, name: str, converted: Path, threads: int) -> None:
        self.name, self.converted, self.threads = name, converted, threads

    def load(self, model: str, latency: bool = False) -> dict[str, Any]:
        from contenders import CONTENDERS, Job

        self.embed_texts = CONTENDERS[self.name](Job(Path(model), self.converted, self.threads, latency))
        return {"seconds": time.perf_counter() - START, "rss_mb": peak_rss_mb()}

    def embed(self, texts: list[str], repeat: int = 1, vectors_file: str | None = None) -> dict[str, Any]:
        before, seconds = peak_rss_mb(), []
        for _ in range(repeat):
            start = time.perf_counter()
            vectors = self.embed_texts(texts)
            seconds.append(time.perf_counter() - start)
        if vectors_file is not None:
            import numpy as np

            np.save(vectors_file, vectors)
        return {"seconds": seconds, "rss_before_mb": before, "rss_mb": peak_rss_mb()}

    def peaks(self) -> dict[str, Any]:
        try:
            from pellucid.engines.native import peaks
        except ImportError as error:
            return {"note": f"no roofline: {error.msg.partition('(')[0].strip()}"}
        return {"peaks": peaks(self.threads)}


def peak_rss_mb() -> float:
    """The most memory that this process ever held, in 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def serve(worker: Worker) -> None:
    # Libraries print as they please: the real standard output is for answers only, and theirs goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # noqa: BLE001  the parent decides what to make of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--converted", type=Path, required=True, help="the folder with the peers' forms of the model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", metavar="MODEL", help="the model's folder: embed one query and end")
    args = parser.parse_args()
    worker = Worker(args.name, args.converted, args.threads)
    if args.cold is None:
        serve(worker)
        return
    from texts import QUERY

    worker.load(args.cold, latency=True)
    print(worker.embed_texts([QUERY])[0][0], flush=True)


if __name__ == "__main__":
    main()
