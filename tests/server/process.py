"""``pellucid serve`` in its own process, as users run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"  # Background jobs ignore SIGINT.
    "from pellucid.cli import main; main()"
)


@dataclass(frozen=True)
class Process:
    """A running server."""

    url: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def log(self) -> list[str]:
        """The lines that it has written to standard error."""
        self.errors.seek(0)
        return self.errors.read().splitlines()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def process(*arguments: str, **variables: str) -> Iterator[Process]:
    command = [sys.executable, "-c", COMMAND, "serve", "--port", "0", *arguments]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | variables
        ) as started,
    ):
        try:
            line = started.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, f"the server did not start: {line!r}, {started.wait(60)}"
            yield Process(found[0], started, errors)
        finally:
            started.kill()
