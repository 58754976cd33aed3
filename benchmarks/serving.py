"""Measures the server: its throughput with many clients, its latency with one, and its behaviour under overload.

The server and the clients run in separate processes on the same machine, so the clients use some of its cores. Run it
with Pellucid's own Python, on an otherwise idle machine::

    .venv/bin/python benchmarks/serving.py --json benchmarks/results/latest-serving.json

With ``--plain PYTHON``, the same clients also measure ``plain_server.py``. PYTHON is the Python of an environment with
sentence-transformers, FastAPI and uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
import texts
import uvloop
from servers import read_status, request, running, server

from pellucid import Embedder

HERE = Path(__file__).parent
CLIENTS = 64
SINGLE_CLIENT_TEXTS = 300
OVERLOAD_CLIENTS, OVERLOAD_TEXTS, OVERLOAD_WAITING, OVERLOAD_REQUESTS = 256, 8, 16_384, 4000


def main() -> None:
    """Print the figures; times are in seconds."""
    parser = argparse.ArgumentParser(description="Measure the throughput and latency of the server.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--dtypes", default="float32,int16,int8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", help="a Python that has sentence-transformers, FastAPI and uvicorn")
    parser.add_argument("--plain-model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        **machine.describe_run(arguments.model),
        "texts": len(texts.short()),
    }
    for dtype in arguments.dtypes.split(","):
        figures[dtype] = {
            **throughput(arguments.model, dtype, arguments.rounds),
            **single_client(arguments.model, dtype, arguments.rounds),
        }
    figures["overload"] = overload(arguments.model)
    if arguments.plain:
        figures["plain"] = plain(arguments.plain, arguments.plain_model, arguments.model, arguments.rounds)
    machine.write_figures(figures, arguments.json)


def throughput(model: str, dtype: str, rounds: int) -> dict[str, Any]:
    """Texts per second of 64 clients with one text per request, and of ``embed_documents`` with the same texts."""
    embedder = Embedder(model, dtype=dtype, on_truncation="cut")
    workload = texts.short()
    served, library = [], []
    with server("--model", model, "--dtype", dtype) as (port, _):
        send_all(port, workload[:200], CLIENTS)
        for _ in range(rounds):
            served.append(len(workload) / send_all(port, workload, CLIENTS).seconds)
            start = time.perf_counter()
            embedder.embed_documents(workload)
            library.append(len(workload) / (time.perf_counter() - start))
    ratios = [ours / alone for ours, alone in zip(served, library, strict=True)]
    return {"clients": CLIENTS, "served": served, "library": library, "median ratio": statistics.median(ratios)}


def single_client(model: str, dtype: str, rounds: int) -> dict[str, Any]:
    """Times of one client that sends one text at a time, and of the library with the same texts, in turns."""
    embedder = Embedder(model, dtype=dtype, on_truncation="cut")
    workload = texts.short(SINGLE_CLIENT_TEXTS)
    times, alone_times = [], []
    with server("--model", model, "--dtype", dtype) as (port, _):
        for _ in range(rounds):
            # The first 20 requests do not count: the client's process has only just started.
            times += send_all(port, workload[:20] + workload, 1).times[20:]
            for text in workload:
                begin = time.perf_counter()
                embedder.embed_query(text)
                alone_times.append(time.perf_counter() - begin)
    extra_ms = [1000 * (time - 3 * alone) for time, alone in zip(times, alone_times, strict=True)]
    return {
        "lone_ms": percentiles([1000 * seconds for seconds in times]),
        "lone_embedding_ms": percentiles([1000 * seconds for seconds in alone_times]),
        "lone_ms_beyond_three_times_its_embedding": percentiles(extra_ms),
    }


def overload(model: str) -> dict[str, Any]:
    """Send far more than the server can handle. Returns its answers, its memory, and its latency before and after."""
    many = texts.many(OVERLOAD_REQUESTS * OVERLOAD_TEXTS)
    groups = [many[i : i + OVERLOAD_TEXTS] for i in range(0, len(many), OVERLOAD_TEXTS)]
    with server("--model", model, "--max-waiting", str(OVERLOAD_WAITING)) as (port, pid):
        before = statistics.median(send_all(port, texts.short(50), 1).times)
        resident = rss(pid)
        load = send_all(port, groups, OVERLOAD_CLIENTS)
        after = statistics.median(send_all(port, texts.short(50), 1).times)
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
    """Texts per second of this server, and of sentence-transformers behind FastAPI, in turns."""
    workload = texts.short()[:600]
    ours, theirs = [], []
    with (
        server("--model", model) as (port, _),
        running([python, str(HERE / "plain_server.py"), plain_model]) as (other, _),
    ):
        for _ in range(rounds):
            ours.append(len(workload) / send_all(port, workload, CLIENTS).seconds)
            theirs.append(len(workload) / send_all(other, workload, CLIENTS).seconds)
    ratios = [our_speed / their_speed for our_speed, their_speed in zip(ours, theirs, strict=True)]
    return {"ours": ours, "plain": theirs, "median ratio": statistics.median(ratios)}


@dataclass
class Load:
    """What the clients measured.

    Attributes:
        seconds: the time from the first request to the last answer.
        times: the seconds of each request.
        statuses: the HTTP status of each answer.
    """

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


def send_all(port: int, inputs: list[Any], clients: int) -> Load:
    """Send inputs with several clients, which share a new process. Each client sends one request at a time."""
    process = subprocess.run(
        [sys.executable, __file__, "--client", str(port), str(clients)],
        input=json.dumps(inputs),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Load(**json.loads(process.stdout))


def run_clients_here(port: int, clients: int) -> None:
    """Run the clients of :func:`send_all`, in this process. They use a minimal HTTP client that costs little time."""
    inputs = json.load(sys.stdin)
    requests = [request(item) for item in inputs]
    load = Load()
    remaining = iter(requests)

    async def run_client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for message in remaining:
            start = time.perf_counter()
            writer.write(message)
            status = await read_status(reader)
            load.times.append(time.perf_counter() - start)
            load.statuses.append(status)
        writer.close()

    async def run_clients() -> None:
        start = time.perf_counter()
        await asyncio.gather(*(run_client() for _ in range(clients)))
        load.seconds = time.perf_counter() - start

    uvloop.run(run_clients())
    print(json.dumps(vars(load)))


def rss(pid: int) -> float:
    """The resident memory of a process in MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1000, 1)


def percentiles(values: list[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    p50, p99 = np.percentile(values, (50, 99)).tolist()
    return {"p50": p50, "p99": p99}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        run_clients_here(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
