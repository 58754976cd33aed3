"""Measures how long requests take while a server is under a given load: the median, and the slowest 5 % and 1 %.

Requests of one short text arrive at random moments at a given rate, whether or not earlier ones have been answered, as
they do from many independent users. A request's time counts from the moment when it was due. The rate rises until the
server no longer keeps up. Run it with the peers' Python, on an otherwise idle machine::

    .venv-benchmark/bin/python benchmarks/load.py

The servers run one after another: ours, ``plain_server.py``, and Infinity if ``--infinity`` says where its program
``infinity_emb`` is. The clients run in a process of their own on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import functools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import machine
import numpy as np
import result_tables
import texts
from measure import log
from run import find_folder
from servers import free_port, read_status, request, running, server

HERE = Path(__file__).parent
RATES = (10, 20, 50, 100, 200, 300, 400, 600, 800, 1000, 1500, 2000)
OVERLOADED_MS = 1000
"""A server that needs longer than this for half of the requests does not keep up, and gets no higher rate."""
PATIENCE_SECONDS = 10
"""How long the clients wait for the last answers."""
Start = Callable[[], AbstractContextManager[tuple[int, int]]]


def main() -> None:
    """Write the figures to a file, draw them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--rates", type=int, nargs="+", default=list(RATES), help="requests a second")
    parser.add_argument("--seconds", type=float, default=8, help="for each rate")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "int8"], help="ours")
    parser.add_argument("--pellucid-python", default=".venv/bin/python", help="the Python that has Pellucid")
    parser.add_argument("--infinity", help="the program infinity_emb of infinity-emb[server,torch]")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-load.json"))
    parser.add_argument("--client", nargs=3, metavar=("PORT", "RATE", "SECONDS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        port, rate, seconds = args.client
        print(json.dumps(asyncio.run(send(int(port), float(rate), float(seconds)))))
        return
    folder = str(find_folder(args.model, args.pellucid_python))
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **machine.describe_run(args.model),
        "seconds": args.seconds,
        "servers": {},
        "skipped": {},
    }
    for name, start in servers(folder, args).items():
        log(name)
        try:
            with start() as (port, _):
                result["servers"][name] = points(port, args.rates, args.seconds)
        except (OSError, subprocess.SubprocessError) as error:
            result["skipped"][name] = machine.without_folders(str(error))
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    from plot import plot_load

    plot_load(result, args.output.with_suffix(".png"))
    print("\n".join(result_tables.load(result)))
    for name, reason in result["skipped"].items():
        print(f"{name}: {reason}")


def servers(folder: str, args: argparse.Namespace) -> dict[str, Start]:
    """How to start each server."""
    found: dict[str, Start] = {
        f"Pellucid, {dtype}": functools.partial(
            server, "--model", folder, "--dtype", dtype, python=args.pellucid_python
        )
        for dtype in args.dtypes
    }
    plain = [sys.executable, str(HERE / "plain_server.py"), folder]
    found["sentence-transformers behind FastAPI"] = functools.partial(running, plain)
    if args.infinity:
        port = free_port()
        command = [args.infinity, "v2", "--model-id", folder, "--port", str(port)]
        command += ["--url-prefix", "/v1", "--device", "cpu", "--engine", "torch", "--host", "127.0.0.1"]
        found["Infinity"] = functools.partial(running, command, port)
    return found


def points(port: int, rates: list[int], seconds: float) -> list[dict[str, Any]]:
    """The figures of a server at each rate, until it does not keep up."""
    _client(port, 20, 2)  # This warms up.
    found = []
    for rate in rates:
        point = _client(port, rate, seconds)
        found.append(point)
        log(f"  {rate:5} requests/s: {result_tables.load_cell(point)}")
        if point["refused"] or not point["p50_ms"] or point["p50_ms"] > OVERLOADED_MS:
            break
    return found


def _client(port: int, rate: float, seconds: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--client", str(port), str(rate), str(seconds)]
    return dict(json.loads(subprocess.check_output(command, text=True)))


async def send(port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Send requests at random moments, and wait for the answers.

    Args:
        port: the server's port on this machine.
        rate: how many requests a second there are on average.
        seconds: for how long.

    Returns:
        ``offered`` and ``answered``, in requests per second; ``p50_ms``, ``p95_ms`` and ``p99_ms``, or None without an
        answer; and ``refused``, the number of requests with an error, or without an answer in time.
    """
    rng = random.Random(texts.SEED)  # noqa: S311  not a secret
    messages = [request(text) for text in texts.short()]
    idle: list[tuple[Any, Any]] = []
    writers: list[Any] = []
    times: list[float] = []
    refused = 0

    async def ask(message: bytes, due: float) -> None:
        nonlocal refused
        try:
            if idle:
                reader, writer = idle.pop()
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writers.append(writer)
            writer.write(message)
            status = await read_status(reader)
        except (OSError, asyncio.IncompleteReadError):
            refused += 1
            return
        if status == 200:  # noqa: PLR2004  OK
            times.append(time.perf_counter() - due)
        else:
            refused += 1
        idle.append((reader, writer))

    tasks = []
    start = due = time.perf_counter()
    while (due := due + rng.expovariate(rate)) < start + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(messages[len(tasks) % len(messages)], due)))
    late = (await asyncio.wait(tasks, timeout=PATIENCE_SECONDS))[1] if tasks else set()
    elapsed = time.perf_counter() - start
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
    percentiles = (1e3 * np.percentile(times, (50, 95, 99))).tolist() if times else (None, None, None)
    return {
        "offered": round(rate),
        "answered": len(times) / elapsed,
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles, strict=True)),
        "refused": refused + len(late),
    }


if __name__ == "__main__":
    main()
