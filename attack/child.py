"""Run one case in a forked process, with limits on memory and time, and find out how it ended.

The parent has already loaded what the cases need, so each case costs only a fork. The parent must have only one thread.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from attack import processes
from pellucid.errors import PellucidError

Kind = Literal["ok", "refused", "wrong", "raw", "crash", "hang", "memory", "orphan"]
FAULTS = ("wrong", "raw", "crash", "hang", "memory", "orphan")
Case = Callable[[random.Random, Path], "Result"]
"""A function that chooses an input at random, tries it in an empty folder, and returns the result. It raises
AssertionError if the invariant does not hold."""
_MAX_DETAIL_CHARACTERS = 8000
_MAX_MESSAGE_CHARACTERS = 4000
_STACK_DUMP_SECONDS = 0.1
_EXTRA_ADDRESS_SPACE_BYTES = 8 << 30
"""The parent polls the memory of a case. A huge allocation could come between two polls, so the kernel also limits the
case's address space: to what it has at the start, plus the memory limit, plus this."""


@dataclass(frozen=True)
class Limits:
    """The time and memory that a case may take.

    Attributes:
        seconds: wall-clock time; a case that takes longer is a hang.
        memory: bytes for the process and its children together, including what the parent had loaded.
    """

    seconds: float = 20.0
    memory: int = 1 << 30


@dataclass(frozen=True)
class Result:
    """What a case returns.

    Attributes:
        kind: "ok"; or "refused", if Pellucid raised a documented error.
        detail: for a refusal, the error's class.
        peak: the peak memory in bytes of another process that the case measured, such as a server. It is reported
            in place of the case's own peak; 0 means that the case measured no other process.
    """

    kind: Kind = "ok"
    detail: str = ""
    peak: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a case ended: with a result or a fault, after how many seconds, and with which peak memory in bytes."""

    kind: Kind
    detail: str
    seconds: float
    peak: int


@dataclass
class Child:
    """A case that is running in a forked process.

    Attributes:
        number: the case's number.
        folder: the folder for ``output.txt`` and for ``files/``, the case's own folder.
        result_pipe: the descriptor from which the parent reads the result.
    """

    number: int
    folder: Path
    limits: Limits
    pid: int
    result_pipe: int
    started: float = field(default_factory=time.monotonic)
    peak: int = 0

    def poll(self) -> Outcome | None:
        """Return the outcome, or None while the case is still running. Kill the case if it is over a limit."""
        ended, status, _ = os.wait4(self.pid, os.WNOHANG)
        seconds = time.monotonic() - self.started
        if ended:
            return self._read_outcome(status, seconds)
        self.peak = max(self.peak, sum(map(processes.memory_of, processes.tree(self.pid))))
        if self.peak > self.limits.memory:
            return self._kill("memory", seconds)
        if seconds > self.limits.seconds:
            return self._kill("hang", seconds)
        return None

    def _read_outcome(self, status: int, seconds: float) -> Outcome:
        has_orphan = processes.group_is_alive(self.pid)
        processes.end_group(self.pid)  # Before reading the pipe: an orphan may hold its other end open.
        with os.fdopen(self.result_pipe, "rb") as file:
            content = file.read()
        if not content:
            name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit status {status >> 8}"
            outcome = Outcome("crash", f"{name}\n{self._output()}", seconds, self.peak)
        else:
            result: dict[str, Any] = json.loads(content)
            outcome = Outcome(result["kind"], result["detail"], seconds, result["peak"] or self.peak)
        if has_orphan and outcome.kind not in FAULTS:
            return replace(outcome, kind="orphan", detail="the case left a process behind")
        return outcome

    def _kill(self, kind: Kind, seconds: float) -> Outcome:
        os.kill(self.pid, signal.SIGUSR1)  # This makes it print its stack.
        time.sleep(_STACK_DUMP_SECONDS)
        processes.end_group(self.pid)
        os.waitpid(self.pid, 0)
        os.close(self.result_pipe)
        return Outcome(kind, self._output(), seconds, self.peak)

    def _output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")[-_MAX_DETAIL_CHARACTERS:]


def start(number: int, case: Case, rng: random.Random, folder: Path, limits: Limits) -> Child:
    """Fork a process that runs the case in ``folder``, which must not exist yet."""
    (folder / "files").mkdir(parents=True)
    sys.stdout.flush()
    sys.stderr.flush()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_end)
            _isolate(folder, limits)
            result = _result_of(case, rng, folder / "files")
            os.write(write_end, json.dumps(vars(result)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    return Child(number, folder, limits, pid, read_end)


def run(case: Case, rng: random.Random, folder: Path, limits: Limits) -> Outcome:
    """Run one case and wait for its outcome."""
    child = start(0, case, rng, folder, limits)
    while (outcome := child.poll()) is None:
        time.sleep(0.002)
    return outcome


def _isolate(folder: Path, limits: Limits) -> None:
    """Give this forked process its own process group, send its output to a file, and set its limits."""
    os.setsid()
    output = os.open(folder / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", closefd=False, buffering=1) for descriptor in (1, 2))  # noqa: SIM115
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, 2)
    max_address_space = processes.address_space_of(os.getpid()) + limits.memory + _EXTRA_ADDRESS_SPACE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (max_address_space, max_address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _result_of(case: Case, rng: random.Random, folder: Path) -> Result:
    try:
        return case(rng, folder)
    except PellucidError as error:
        fault = message_fault(str(error))
        return Result("wrong", f"{fault}\n{_traceback()}") if fault else Result("refused", type(error).__name__)
    except AssertionError:
        return Result("wrong", _traceback())
    except MemoryError:
        return Result("memory", _traceback())
    except BaseException:  # noqa: BLE001  a Rust library's PanicException is not an Exception, and is a fault too
        return Result("raw", _traceback())


def message_fault(message: str) -> str | None:
    """Say what is wrong with an error's message; None if it is a good one."""
    if not message.strip():
        return "the message is empty"
    if any(not letter.isprintable() and letter != "\n" for letter in message):
        return "the message has control characters"
    if len(message) > _MAX_MESSAGE_CHARACTERS:
        return f"the message has more than {_MAX_MESSAGE_CHARACTERS:,} characters"
    return None


def _traceback() -> str:
    return traceback.format_exc()[-_MAX_DETAIL_CHARACTERS:]
