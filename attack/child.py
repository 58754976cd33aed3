"""One case in a forked process, under a bound of memory and a deadline, and what became of it.

The parent has loaded what the cases need, so a case costs a fork and not a start. It must hold no other threads.
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
Attack = Callable[[random.Random, Path], "Result"]
"""A case: draws what to do, does it in an empty folder, and says what came. AssertionError: a law was broken."""
_LONGEST_DETAIL = 8000
_LONGEST_MESSAGE = 4000
_SAYING_SECONDS = 0.1
_BACKSTOP = 8 << 30
"""Beyond the bound: what one allocation may ask for before the parent has seen it."""


@dataclass(frozen=True)
class Bounds:
    """What a case may take.

    Attributes:
        seconds: of wall-clock time; more is a hang.
        memory: in bytes, of the process and its children, together with what the parent had loaded.
    """

    seconds: float = 20.0
    memory: int = 1 << 30


@dataclass(frozen=True)
class Result:
    """What a case says of itself.

    Attributes:
        kind: "ok"; or "refused", with a documented error.
        detail: of a refusal, the class of the error.
        peak: bytes, if the case measured another process; it then counts in place of its own.
    """

    kind: Kind = "ok"
    detail: str = ""
    peak: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a case: its result, or how it ended without one; how long it took, and how much memory."""

    kind: Kind
    detail: str
    seconds: float
    peak: int


@dataclass
class Child:
    """A case that is running.

    Attributes:
        number: of the case.
        folder: for ``output.txt`` and the case's own ``files/``.
    """

    number: int
    folder: Path
    bounds: Bounds
    pid: int
    answers: int
    started: float = field(default_factory=time.monotonic)
    peak: int = 0

    def poll(self) -> Outcome | None:
        """The outcome, if there is one by now."""
        ended, status, _ = os.wait4(self.pid, os.WNOHANG)
        seconds = time.monotonic() - self.started
        if ended:
            return self._ended(status, seconds)
        self.peak = max(self.peak, sum(map(processes.memory_of, processes.tree(self.pid))))
        if self.peak > self.bounds.memory:
            return self._killed("memory", seconds)
        if seconds > self.bounds.seconds:
            return self._killed("hang", seconds)
        return None

    def _ended(self, status: int, seconds: float) -> Outcome:
        left = processes.group_is_alive(self.pid)
        processes.end_group(self.pid)  # Before the answer is read: who is left may hold the other end.
        with os.fdopen(self.answers, "rb") as file:
            answer = file.read()
        if not answer:
            name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit status {status >> 8}"
            outcome = Outcome("crash", f"{name}\n{self._output()}", seconds, self.peak)
        else:
            told: dict[str, Any] = json.loads(answer)
            outcome = Outcome(told["kind"], told["detail"], seconds, told["peak"] or self.peak)
        if left and outcome.kind not in FAULTS:
            return replace(outcome, kind="orphan", detail="a process was left")
        return outcome

    def _killed(self, kind: Kind, seconds: float) -> Outcome:
        os.kill(self.pid, signal.SIGUSR1)  # Say where you are.
        time.sleep(_SAYING_SECONDS)
        processes.end_group(self.pid)
        os.waitpid(self.pid, 0)
        os.close(self.answers)
        return Outcome(kind, self._output(), seconds, self.peak)

    def _output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")[-_LONGEST_DETAIL:]


def start(number: int, attack: Attack, rng: random.Random, folder: Path, bounds: Bounds) -> Child:
    """Fork, and let the child do the case in ``folder``, which must not be there yet."""
    (folder / "files").mkdir(parents=True)
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _become(folder, bounds)
            answer = _answer(attack, rng, folder / "files")
            os.write(writing, json.dumps(vars(answer)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return Child(number, folder, bounds, pid, reading)


def run(attack: Attack, rng: random.Random, folder: Path, bounds: Bounds) -> Outcome:
    """One case, waited for."""
    child = start(0, attack, rng, folder, bounds)
    while (outcome := child.poll()) is None:
        time.sleep(0.002)
    return outcome


def _become(folder: Path, bounds: Bounds) -> None:
    """Of a forked process, make the case's: its own group, its output in a file, its limits set."""
    os.setsid()
    output = os.open(folder / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", closefd=False, buffering=1) for descriptor in (1, 2))  # noqa: SIM115
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, 2)
    most = processes.address_space_of(os.getpid()) + bounds.memory + _BACKSTOP
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(attack: Attack, rng: random.Random, folder: Path) -> Result:
    try:
        return attack(rng, folder)
    except PellucidError as error:
        fault = unfit(str(error))
        return Result("wrong", f"{fault}\n{_traced()}") if fault else Result("refused", type(error).__name__)
    except AssertionError:
        return Result("wrong", _traced())
    except MemoryError:
        return Result("memory", _traced())
    except BaseException:  # noqa: BLE001  a PanicException is no Exception, and whatever it is, it is what we look for
        return Result("raw", _traced())


def unfit(message: str) -> str | None:
    """What is wrong with the message of an error; None if nothing is."""
    if not message.strip():
        return "the message is empty"
    if any(not letter.isprintable() and letter != "\n" for letter in message):
        return "the message has control characters"
    if len(message) > _LONGEST_MESSAGE:
        return f"the message has more than {_LONGEST_MESSAGE:,} characters"
    return None


def _traced() -> str:
    return traceback.format_exc()[-_LONGEST_DETAIL:]
