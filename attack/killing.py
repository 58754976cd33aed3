"""Processes that are killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable


def in_a_child(work: Callable[[], object]) -> int:
    """Fork; the child does ``work`` and ends with status 0, or 1 if it raised. Returns its process id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001  nothing of it may go on in the forked process
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def finished(work: Callable[[], object]) -> float:
    """Do ``work`` in a forked process, to its end; how many seconds it took."""
    began = time.monotonic()
    _, status = os.waitpid(in_a_child(work), 0)
    assert status == 0, f"undisturbed, it ended with status {status}"
    return time.monotonic() - began


def killed(
    work: Callable[[], object], seconds: float, rng: random.Random, *, after: Callable[[], bool] = lambda: True
) -> bool:
    """Do ``work`` in a forked process, and kill that within so many seconds of when ``after`` says yes; False if it
    had ended before.
    """
    pid, moment = in_a_child(work), None
    while moment is None or time.monotonic() < moment:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert status == 0, f"after a kill, it ended with status {status}"
            return False
        if moment is None and after():
            moment = time.monotonic() + rng.uniform(0, seconds)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
