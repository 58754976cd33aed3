"""Run a real ``pellucid serve`` in a memory group, while another process checks its ``/health`` all the time."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attack.killing import fork_and_run
from attack.memory_group import memory_group
from attack.processes import memory_of

MEMORY_BYTES = 1 << 30
MAX_HEALTH_SECONDS = 2.0
NO_ANSWER_SECONDS = 99.0
"""The time that the watcher writes down when ``/health`` does not answer."""


@dataclass
class RunningServer:
    """A server that is running.

    Attributes:
        port: the port on which it listens.
        process: the server's process.
        watcher: the id of the process that checks ``/health``; 0 when there is none.
        health: the file to which the watcher writes, for each check: the seconds until the answer, the server's
            memory in bytes, and the answer.
        log: the file with the server's standard error.
    """

    port: int
    process: subprocess.Popen[bytes]
    watcher: int
    health: Path
    log: Path

    def connect(self, seconds: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def request(self, content: bytes, seconds: float = 10.0, *, half_close: bool = False) -> bytes:
        """Send these bytes on a new connection, and read until the server closes it.

        Raises AssertionError if for ``seconds`` nothing could be sent or read, and the connection was still open.
        """
        try:
            return self._exchange(content, seconds, half_close=half_close)
        except TimeoutError:
            raise AssertionError(f"for {seconds} s the server neither answered nor closed a connection") from None

    def _exchange(self, content: bytes, seconds: float, *, half_close: bool) -> bytes:
        response = bytearray()
        with self.connect(seconds) as connection:
            with contextlib.suppress(ConnectionError):  # The server may refuse a request before it has read all of it.
                connection.sendall(content)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while piece := connection.recv(1 << 16):
                    response += piece
        return bytes(response)

    def stop_watcher(self) -> None:
        """From now on, ``/health`` need not answer."""
        if self.watcher:
            os.kill(self.watcher, signal.SIGKILL)
            os.waitpid(self.watcher, 0)
            self.watcher = 0

    def slowest_and_peak(self) -> tuple[float, int]:
        """The seconds of the slowest answer of ``/health``, and the server's peak memory in bytes."""
        lines = [line.split() for line in self.health.read_text().splitlines()]
        return max((float(a) for a, *_ in lines), default=0.0), max((int(b) for _, b, *_ in lines), default=0)

    def stop(self, seconds: float) -> int:
        """Send SIGTERM, and return the exit status. Raises AssertionError if the server runs longer than this."""
        self.stop_watcher()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{seconds} s after SIGTERM the server still runs") from None

    def check_alive(self) -> None:
        status = self.process.poll()
        assert status is None, f"the server ended with exit status {status}; see server.log in the case's folder"


@contextlib.contextmanager
def run_server(folder: Path, *arguments: str | Path) -> Iterator[RunningServer]:
    """Start a server with these arguments, and end it afterwards. Its log is written to ``folder``."""
    command = [sys.executable, "-m", "pellucid", "serve", "--port", "0", "--local-files-only", *map(str, arguments)]
    log, health = folder / "server.log", folder / "health.txt"
    health.touch()
    with memory_group(MEMORY_BYTES) as group, log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            preexec_fn=(lambda: group.add(os.getpid())) if group else None,  # noqa: PLW1509  there are no threads yet
        )
        server = None
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            address = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert address, f"the server did not start: {log.read_text()[-2000:]}"
            server = RunningServer(int(address[1]), process, 0, health, log)
            server.watcher = fork_and_run(lambda: _watch(server.port, process.pid, health))
            yield server
        finally:
            if server is not None:
                server.stop_watcher()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _watch(port: int, pid: int, health: Path) -> None:
    """Request ``/health`` again and again, and write down the time and the server's memory."""
    request = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with health.open("w", buffering=1) as file:
        while True:
            began, seconds, answer = time.monotonic(), NO_ANSWER_SECONDS, "no answer"
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                    connection.sendall(request)
                    answer = connection.recv(64).decode(errors="replace").partition("\r")[0]
                if " 200 " in answer:
                    seconds = time.monotonic() - began
            except OSError as error:
                answer = str(error)
            file.write(f"{seconds:.3f} {memory_of(pid)} {answer}\n")
            time.sleep(0.03)
