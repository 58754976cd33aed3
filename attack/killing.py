"""Run work in a forked process, and kill it at a random moment."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable


def fork_and_run(work: Callable[[], object]) -> int:
    """Run ``work`` in a forked process, and return that process's id. Its exit status is 0, or 1 if ``work`` raised."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001  no exception may leave this function in the forked process
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def run_to_end(work: Callable[[], object]) -> float:
    """Run ``work`` in a forked process, wait until it ends, and return the seconds that it took."""
    began = time.monotonic()
    _, status = os.waitpid(fork_and_run(work), 0)
    assert status == 0, f"a process that was not killed ended with status {status}"
    return time.monotonic() - began


def run_and_kill(
    work: Callable[[], object], seconds: float, rng: random.Random, *, is_ready: Callable[[], bool] = lambda: True
) -> bool:
    """Run ``work`` in a forked process, and kill it at a random moment.

    That moment lies within ``seconds`` of the first time that ``is_ready`` returns True. Returns False if the process
    ended before it was killed.
    """
    pid, moment = fork_and_run(work), None
    while moment is None or time.monotonic() < moment:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert status == 0, f"after an earlier kill, a process ended with status {status}"
            return False
        if moment is None and is_ready():
            moment = time.monotonic() + rng.uniform(0, seconds)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
