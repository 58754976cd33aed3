"""Starts the servers that are measured, and says what a request to them looks like."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

START_SECONDS = 240


@contextmanager
def server(*arguments: str, python: str = sys.executable) -> Iterator[tuple[int, int]]:
    """Run ``pellucid serve`` inside the ``with`` block. Yields its port and its process id."""
    command = [python, "-P", "-m", "pellucid", "serve", "--port", "0", "--on-truncation", "cut", *arguments]
    with running(command) as port_and_pid:
        yield port_and_pid


@contextmanager
def running(command: list[str], port: int | None = None) -> Iterator[tuple[int, int]]:
    """Run a server that prints its URL first, or that listens on this port. Yields its port and its process id.

    Raises:
        ConnectionError: it does not start.
    """
    output = subprocess.PIPE if port is None else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, text=True)
    try:
        if process.stdout is not None:
            line = process.stdout.readline()
            if not line:
                raise ConnectionError(f"{command[0]} ended without a URL")
            port = int(line.strip().rpartition(":")[2])
        elif port is not None:
            _wait_for(port, process)
        yield port or 0, process.pid
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    """A port on which nobody listens at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def request(item: Any, path: str = "/v1/embeddings") -> bytes:
    """A whole HTTP request for the vectors of a text, or of a list of them, as OpenAI's clients send it."""
    body = json.dumps({"input": item, "encoding_format": "base64"}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def read_status(reader: Any) -> int:
    """Read a whole answer, and return its HTTP status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise ConnectionError(f"nobody listens on port {port}")
