"""Runs one contender in a separate process, with its own Python and nothing else in memory.

It reads requests and writes answers as JSON lines. ``load`` answers with the seconds that loading took, ``embed`` with
the seconds of each repetition and the peak memory, and ``peaks`` with the limits of this machine's arithmetic. If a
request fails, the answer is ``{"error": …}``.

With ``--cold``, it embeds one query and prints the first number of the vector, so that the parent can measure the time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

START = time.perf_counter()


class Worker:
    """A contender, which the request ``load`` loads."""

    def __init__(self, name: str, converted: Path, threads: int) -> None:
        self.name, self.converted, self.threads = name, converted, threads

    def load(self, model: str, latency: bool = False, module: str = "contenders") -> dict[str, Any]:
        from contenders import Job

        contenders = importlib.import_module(module).CONTENDERS
        self.embed_texts = contenders[self.name](Job(Path(model), self.converted, self.threads, latency))
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
    """The peak resident memory of this process so far, in MB (10^6 bytes)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def serve(worker: Worker) -> None:
    """Answer requests until the standard input ends."""
    # Libraries may print. Only answers may reach the real standard output, so what libraries print goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # noqa: BLE001  the parent handles it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument(
        "--converted", type=Path, required=True, help="the folder with the converted forms of the model"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", metavar="MODEL", help="load the model from this folder, embed one query, and exit")
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
