"""What serving costs beside the arithmetic: throughput with many clients, the latency of one, and what overload does.

The server is a process of its own, and so are the clients, on the same machine: they take their part of its cores. Run
it with Pellucid's own Python, on a machine that has nothing else to do::

    .venv/bin/python benchmarks/serving.py --json benchmarks/results/latest-serving.json

With ``--plain PYTHON``, the Python of an environment with sentence-transformers, FastAPI and uvicorn, the same clients
ask ``plain_server.py`` too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
import texts
import uvloop

from pellucid import Embedder

HERE = Path(__file__).parent
CLIENTS = 64
LONE = 300
OVERLOAD_CLIENTS, OVERLOAD_TEXTS, OVERLOAD_WAITING, OVERLOAD_REQUESTS = 256, 8, 16_384, 4000


def main() -> None:
    """Print the figures; times are in seconds."""
    parser = argparse.ArgumentParser(description="Throughput and latency of the server.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--dtypes", default="float32,int16,int8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", help="a Python with sentence-transformers and FastAPI")
    parser.add_argument("--plain-model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        **machine.about(arguments.model),
        "texts": len(texts.short()),
    }
    for dtype in arguments.dtypes.split(","):
        figures[dtype] = {
            **throughput(arguments.model, dtype, arguments.rounds),
            **lone(arguments.model, dtype, arguments.rounds),
        }
    figures["overload"] = overload(arguments.model)
    if arguments.plain:
        figures["plain"] = plain(arguments.plain, arguments.plain_model, arguments.model, arguments.rounds)
    machine.tell(figures, arguments.json)


def throughput(model: str, dtype: str, rounds: int) -> dict[str, Any]:
    """Texts a second of 64 clients with one text a request, beside ``embed_documents`` of the same texts, in turns."""
    embedder = Embedder(model, dtype=dtype, on_truncation="ignore")
    workload = texts.short()
    served, library = [], []
    with server("--model", model, "--dtype", dtype) as (port, _):
        asked(port, workload[:200], CLIENTS)
        for _ in range(rounds):
            served.append(len(workload) / asked(port, workload, CLIENTS).seconds)
            start = time.perf_counter()
            embedder.embed_documents(workload)
            library.append(len(workload) / (time.perf_counter() - start))
    ratios = [one / other for one, other in zip(served, library, strict=True)]
    return {"clients": CLIENTS, "served": served, "library": library, "median ratio": statistics.median(ratios)}


def lone(model: str, dtype: str, rounds: int) -> dict[str, Any]:
    """One client, one text at a time: its times, and those of the same texts in the library, in turns."""
    embedder = Embedder(model, dtype=dtype, on_truncation="ignore")
    workload = texts.short(LONE)
    times, own = [], []
    with server("--model", model, "--dtype", dtype) as (port, _):
        for _ in range(rounds):
            # The first requests find a client that has just begun.
            times += asked(port, workload[:20] + workload, 1).times[20:]
            for text in workload:
                begin = time.perf_counter()
                embedder.embed_query(text)
                own.append(time.perf_counter() - begin)
    beyond = [1000 * (time - 3 * alone) for time, alone in zip(times, own, strict=True)]
    return {
        "lone_ms": percentiles([1000 * seconds for seconds in times]),
        "lone_embedding_ms": percentiles([1000 * seconds for seconds in own]),
        "lone_ms_beyond_three_times_its_embedding": percentiles(beyond),
    }


def overload(model: str) -> dict[str, Any]:
    """Far more than the server can bear: what it answers, its memory, and whether it is well afterwards."""
    many = texts.many(OVERLOAD_REQUESTS * OVERLOAD_TEXTS)
    groups = [many[i : i + OVERLOAD_TEXTS] for i in range(0, len(many), OVERLOAD_TEXTS)]
    with server("--model", model, "--max-waiting", str(OVERLOAD_WAITING)) as (port, pid):
        before = statistics.median(asked(port, texts.short(50), 1).times)
        resident = rss(pid)
        load = asked(port, groups, OVERLOAD_CLIENTS)
        after = statistics.median(asked(port, texts.short(50), 1).times)
        return {
            "clients": OVERLOAD_CLIENTS,
            "texts a request": OVERLOAD_TEXTS,
            "waiting tokens": OVERLOAD_WAITING,
            "statuses": {str(status): load.statuses.count(status) for status in sorted(set(load.statuses))},
            "rss_mb_before": resident,
            "rss_mb_after": rss(pid),
            "lone_ms_before": 1000 * before,
            "lone_ms_after": 1000 * after,
        }


def plain(python: str, plain_model: str, model: str, rounds: int) -> dict[str, Any]:
    """sentence-transformers behind FastAPI, one request a call, and this server, in turns."""
    workload = texts.short()[:600]
    ours, theirs = [], []
    with (
        server("--model", model) as (port, _),
        started([python, str(HERE / "plain_server.py"), plain_model]) as (other, _),
    ):
        for _ in range(rounds):
            ours.append(len(workload) / asked(port, workload, CLIENTS).seconds)
            theirs.append(len(workload) / asked(other, workload, CLIENTS).seconds)
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {"ours": ours, "plain": theirs, "median ratio": statistics.median(ratios)}


@dataclass
class Load:
    """What clients saw."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


def asked(port: int, inputs: list[Any], clients: int) -> Load:
    """So many clients, in a process of their own, ask for these inputs, each one after another."""
    done = subprocess.run(
        [sys.executable, __file__, "--client", str(port), str(clients)],
        input=json.dumps(inputs),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Load(**json.loads(done.stdout))


def client(port: int, clients: int) -> None:
    """The process of the clients; a small HTTP client, so that it is the server that is measured."""
    inputs = json.load(sys.stdin)
    bodies = [json.dumps({"input": given, "encoding_format": "base64"}).encode() for given in inputs]
    requests = [
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        + f"{len(body)}\r\n\r\n".encode()
        + body
        for body in bodies
    ]
    load = Load()
    waiting = iter(requests)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            load.times.append(time.perf_counter() - start)
            load.statuses.append(int(head.split(b" ", 2)[1]))
        writer.close()

    async def everyone() -> None:
        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        load.seconds = time.perf_counter() - start

    uvloop.run(everyone())
    print(json.dumps(vars(load)))


@contextmanager
def server(*arguments: str) -> Iterator[tuple[int, int]]:
    """``pellucid serve``: its port and its process."""
    with started(
        [sys.executable, "-P", "-m", "pellucid", "serve", "--port", "0", "--on-truncation", "cut", *arguments]
    ) as found:
        yield found


@contextmanager
def started(command: list[str]) -> Iterator[tuple[int, int]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        if process.stdout is None:
            raise AssertionError("there is a pipe")
        line = process.stdout.readline()
        yield int(line.strip().rpartition(":")[2]), process.pid
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)


def rss(pid: int) -> float:
    """Resident memory in MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1000, 1)


def percentiles(values: list[float]) -> dict[str, float]:
    """The median and the 99th."""
    p50, p99 = np.percentile(values, (50, 99)).tolist()
    return {"p50": p50, "p99": p99}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
