"""Attacks that need no key, on a real process. Its memory stays within the budget plus a constant."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.process import Process, process

if sys.platform != "linux":
    pytest.skip("the memory of a process is read from /proc", allow_module_level=True)

BUDGET_MB, OWN_MB = 64, 160
"""The memory for all requests, and what the process may take besides: for parsing, tokenizing and itself."""
HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "


@pytest.fixture(scope="module")
def served(model) -> Iterator[Process]:
    with process("--model", model, "--request-memory", str(BUDGET_MB), "--timeout", "20") as found:
        yield found


def peak_mb(server: Process) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def open_connection(server: Process, sent: bytes) -> socket.socket:
    """Connect, and send as much as the server accepts within five seconds."""
    connected = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    connected.settimeout(5)
    with contextlib.suppress(OSError):
        connected.sendall(sent)
    return connected


def attack_many(server: Process, count: int, sent: bytes) -> None:
    """Open many connections at once, leave them open for a while, and check the server's health meanwhile."""
    opened: list[socket.socket] = []
    threads = [threading.Thread(target=lambda: opened.append(open_connection(server, sent))) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        check_health(server)
    finally:
        for thread in threads:
            thread.join(60)
        for connection in opened:
            connection.close()
    check_health(server)


def body(inputs: object) -> bytes:
    content = json.dumps({"inputs": inputs, "truncate": True}).encode()
    return HEAD + b"%d\r\n\r\n" % len(content) + content


def check_health(server: Process) -> None:
    """The server answers. It may be slow, because the clients of this test use most of the processor."""
    assert httpx.get(f"{server.url}/health", timeout=60).status_code in (200, 503)


ATTACKS: dict[str, Callable[[Process], None]] = {
    "sixty megabytes of headers": lambda s: open_connection(s, b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 15_000_000).close(),
    "many unfinished headers": lambda s: attack_many(s, 200, b"GET / HTTP/1.1\r\n" + b"a: %b\r\n" % (b"b" * 250) * 120),
    "a hundred half-sent bodies": lambda s: attack_many(s, 100, HEAD + b"15000000\r\n\r\n" + b"x" * 14_000_000),
    "many bodies of nulls": lambda s: attack_many(s, 8, body([None] * 900_000)),
    "many bodies of lists": lambda s: attack_many(s, 8, body([[1]] * 900_000)),
    "many long texts": lambda s: attack_many(s, 20, body(["the cat sat " * 80_000] * 4)),
    "many responses that nobody reads": lambda s: attack_many(
        s, 40, body(["the cat sat"] * 2048).replace(b"embed", b"embed_all")
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_memory_stays_within_its_limit(served, name):
    ATTACKS[name](served)
    assert served.process.poll() is None
    assert peak_mb(served) < BUDGET_MB + OWN_MB


def test_all_memory_is_given_back_afterwards(served):
    for _ in range(600):
        text = httpx.get(f"{served.url}/metrics", timeout=60).text
        line = next(line for line in text.splitlines() if line.startswith("pellucid_request_memory_bytes "))
        if float(line.split()[1]) < 50_000:  # The request for the metrics itself takes some.
            break
        time.sleep(0.1)
    else:
        raise AssertionError(line)
    answer = httpx.post(f"{served.url}/embed", json={"inputs": "the cat"}, timeout=60)
    assert answer.status_code == 200
