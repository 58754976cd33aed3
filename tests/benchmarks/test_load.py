"""Clients that do not wait for each other, and what they count."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import load

    return load


def measured(load, status: str, delay: float, rate: float, seconds: float):
    """What the clients measure of a server that answers each request with this status after this delay."""

    ended: list[asyncio.Task[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
                await asyncio.sleep(delay)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()

    async def both():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            figures = await load.send(server.sockets[0].getsockname()[1], rate, seconds)
        await asyncio.gather(*ended)
        return figures

    return asyncio.run(both())


def test_slow_answers_do_not_hold_up_the_next_requests(load):
    figures = measured(load, "200 OK", delay=0.4, rate=50, seconds=1)
    assert figures["answered"] > 1 / 0.4  # More than one client at a time could get.
    assert 400 <= figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
    assert (figures["offered"], figures["refused"]) == (50, 0)


def test_what_a_server_refuses_has_no_time(load):
    figures = measured(load, "429 Too Many Requests", delay=0, rate=50, seconds=0.5)
    assert figures["refused"] > 5
    assert (figures["answered"], figures["p50_ms"], figures["p99_ms"]) == (0, None, None)


def test_nobody_listens(load):
    figures = asyncio.run(load.send(load.free_port(), 50, 0.5))
    assert figures["refused"] > 5
    assert figures["answered"] == 0
