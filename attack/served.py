"""A real ``pellucid serve`` in a memory group, and somebody who asks after its health all along."""

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

from attack.killing import in_a_child
from attack.memory_group import memory_group
from attack.processes import memory_of

MEMORY = 1 << 30
HEALTHY_SECONDS = 2.0
_START_SECONDS = 60.0


@dataclass
class Served:
    """A server that runs.

    Attributes:
        port: where.
        process: of the server.
        watcher: the process that asks after its health; 0 once that was ended.
        health: the file with what the watcher saw: seconds of each answer, and the server's bytes then.
        log: the file with the server's standard error.
    """

    port: int
    process: subprocess.Popen[bytes]
    watcher: int
    health: Path
    log: Path

    def connect(self, seconds: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def ask(self, sent: bytes, seconds: float = 10.0, *, half_close: bool = False) -> bytes:
        """Send these bytes on a connection of their own, and read until it ends.

        AssertionError: for so many seconds nothing more came or could be sent, and it is open still.
        """
        try:
            return self._asked(sent, seconds, half_close=half_close)
        except TimeoutError:
            raise AssertionError(f"for {seconds} s a connection is neither answered nor ended") from None

    def _asked(self, sent: bytes, seconds: float, *, half_close: bool) -> bytes:
        answer = bytearray()
        with self.connect(seconds) as connection:
            with contextlib.suppress(ConnectionError):  # It has said no before it heard all.
                connection.sendall(sent)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while more := connection.recv(1 << 16):
                    answer += more
        return bytes(answer)

    def unwatched(self) -> None:
        """From here on, it need not answer."""
        if self.watcher:
            os.kill(self.watcher, signal.SIGKILL)
            os.waitpid(self.watcher, 0)
            self.watcher = 0

    def seen(self) -> tuple[float, int]:
        """The slowest answer of its health, in seconds, and the most memory."""
        lines = [line.split() for line in self.health.read_text().splitlines()]
        return max((float(a) for a, *_ in lines), default=0.0), max((int(b) for _, b, *_ in lines), default=0)

    def stop(self, seconds: float) -> int:
        """Its exit status after SIGTERM."""
        self.unwatched()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{seconds} s after SIGTERM it is still there") from None

    def check_alive(self) -> None:
        status = self.process.poll()
        assert status is None, f"the server ended with {status}; its log is beside"


@contextlib.contextmanager
def served(folder: Path, *arguments: str | Path) -> Iterator[Served]:
    """Start a server with these arguments; ``folder`` takes its log."""
    command = [sys.executable, "-m", "pellucid", "serve", "--port", "0", "--local-files-only", *map(str, arguments)]
    log, health = folder / "server.log", folder / "health.txt"
    health.touch()
    with memory_group(MEMORY) as group, log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            preexec_fn=(lambda: group.add(os.getpid())) if group else None,  # noqa: PLW1509  we have no threads yet
        )
        server = None
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, f"the server did not start: {log.read_text()[-2000:]}"
            server = Served(int(found[1]), process, 0, health, log)
            server.watcher = in_a_child(lambda: _watch(server.port, process.pid, health))
            yield server
        finally:
            if server is not None:
                server.unwatched()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _watch(port: int, pid: int, health: Path) -> None:
    """Ask again and again, and write down how long each answer took; 99 for none."""
    request = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with health.open("w", buffering=1) as file:
        while True:
            began, took, told = time.monotonic(), 99.0, "no answer"
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                    connection.sendall(request)
                    told = connection.recv(64).decode(errors="replace").partition("\r")[0]
                if " 200 " in told:
                    took = time.monotonic() - began
            except OSError as error:
                told = str(error)
            file.write(f"{took:.3f} {memory_of(pid)} {told}\n")
            time.sleep(0.03)
