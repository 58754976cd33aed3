"""The parent's side of worker.py: starts a contender's process, sends it requests, and stops it."""

from __future__ import annotations

import contextlib
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
"""The pause before a request. The previous contender's threads spin for a while, and must not slow down this one."""


class ContenderError(Exception):
    """A contender cannot take part; the message says why."""


@dataclass(frozen=True)
class Setting:
    """How to start a contender.

    Attributes:
        python: the Python that runs it.
        model: the model's folder.
        converted: the folder of the model's converted forms.
        threads: how many threads it may use.
    """

    python: str
    model: Path
    converted: Path
    threads: int

    def command(self, name: str) -> list[str]:
        return [self.python, str(WORKER), name, "--converted", str(self.converted), "--threads", str(self.threads)]

    def environment(self) -> dict[str, str]:
        """The process's environment. It sets the number of threads of every library, and turns off the network."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
        threads = dict.fromkeys(names, str(self.threads))
        return os.environ | threads | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}


class Contender:
    """A worker process that has loaded the model, as the contender of this name in a module."""

    def __init__(self, name: str, setting: Setting, *, latency: bool = False, module: str = "contenders") -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  close() closes it
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
            self.loaded = self.ask(do="load", model=str(setting.model), latency=latency, module=module)
        except ContenderError:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Pause, send a request, and return the worker's answer.

        Raises:
            ContenderError: the worker reported an error, or died.
        """
        time.sleep(SETTLE_SECONDS)
        try:
            self._requests.write(json.dumps(request) + "\n")
            self._requests.flush()
            answer = json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            self._log.seek(0)
            last_line = next(iter(self._log.read().splitlines()[-1:]), "no message")
            raise ContenderError(without_folders(f"the process died: {last_line}")) from error
        if "error" in answer:
            raise ContenderError(without_folders(answer["error"]))
        return dict(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._answers, self._log):
            with contextlib.suppress(OSError):  # A request may be left that nobody reads now.
                stream.close()


def cold_start(name: str, setting: Setting) -> dict[str, float]:
    """Start a process that embeds one text. Returns the seconds to its first vector and to its end."""
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
        raise ContenderError("the process returned no vector")
    return {"first_vector": first, "end": time.perf_counter() - start}
