"""``pellucid serve`` as a process of its own, as people run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"  # Background jobs have none.
    "from pellucid.cli import main; main()"
)


@dataclass(frozen=True)
class Process:
    """A server that runs."""

    url: str
    process: subprocess.Popen[str]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Its exit status after this signal."""
        self.process.send_signal(how)
        return self.process.wait(30)


@contextmanager
def process(*arguments: str, **variables: str) -> Iterator[Process]:
    started = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | variables,
    )
    with started:
        try:
            line = started.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, f"the server did not start: {line!r}, {started.wait(10)}"
            yield Process(found[0], started)
        finally:
            started.kill()
