"""The parent's side of worker.py: start a contender, ask it, and end it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from machine import without_folders

WORKER = Path(__file__).parent / "worker.py"
SETTLE_SECONDS = 0.5
"""Thread pools go on spinning for a while after the last product; the next contender must not pay for it."""


class ContenderError(Exception):
    """A contender cannot take part; the message says why."""


@dataclass(frozen=True)
class Setting:
    """How to start a contender: which Python, with which models, with how many threads."""

    python: str
    model: Path
    converted: Path
    threads: int

    def command(self, name: str) -> list[str]:
        return [self.python, str(WORKER), name, "--converted", str(self.converted), "--threads", str(self.threads)]

    def environment(self) -> dict[str, str]:
        """The same number of threads for every library that takes it from the environment, and no network."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
        threads = dict.fromkeys(names, str(self.threads))
        return os.environ | threads | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}


class Contender:
    """A worker process with the model loaded."""

    def __init__(self, name: str, setting: Setting, *, latency: bool = False) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            setting.command(name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=setting.environment(),
        )
        self._requests, self._answers = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        try:
            self.loaded = self.ask(do="load", model=str(setting.model), latency=latency)
        except ContenderError:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """The worker's answer, once the machine has come to rest.

        Raises:
            ContenderError: the worker said that it cannot, or died.
        """
        time.sleep(SETTLE_SECONDS)
        try:
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
            answer = json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            self._log.seek(0)
            last = next(iter(self._log.read().splitlines()[-1:]), "no message")
            raise ContenderError(without_folders(f"the process died: {last}")) from error
        if "error" in answer:
            raise ContenderError(without_folders(answer["error"]))
        return dict(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def cold_start(name: str, setting: Setting) -> dict[str, float]:
    """Seconds from the start of the process to its first vector, and to its end."""
    time.sleep(SETTLE_SECONDS)
    start = time.perf_counter()
    with subprocess.Popen(
        [*setting.command(name), "--cold", str(setting.model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=setting.environment(),
    ) as process:
        line = cast("IO[str]", process.stdout).readline()
        first = time.perf_counter() - start
    if process.returncode != 0 or not line:
        raise ContenderError("the process gave no vector")
    return {"first_vector": first, "end": time.perf_counter() - start}
