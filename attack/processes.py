"""What Linux knows of processes: how much memory a process and its children hold, and which of them are left."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        try:
            tasks = list(Path(f"/proc/{found[-1]}/task").iterdir())
            waiting += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:  # It has just ended.
            continue
    return found


def memory_of(pid: int) -> int:
    """Bytes that a process has taken for itself. Pages of files are not counted: Linux can drop those at any time."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # It has just ended.
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def address_space_of(pid: int) -> int:
    """Bytes of addresses that a process has taken."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def group_is_alive(group: int) -> bool:
    """Whether a process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(group: int) -> None:
    """SIGKILL for all processes of a group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
