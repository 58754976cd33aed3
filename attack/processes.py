"""Facts about processes, from Linux: their memory, their children, and whether a process group still exists."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def tree(pid: int) -> list[int]:
    """The ids of a process and all its descendants."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        try:
            tasks = list(Path(f"/proc/{found[-1]}/task").iterdir())
            waiting += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:  # The process has just ended.
            continue
    return found


def memory_of(pid: int) -> int:
    """A process's anonymous and shared memory in bytes. Pages of files don't count: Linux can drop them at any time."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # The process has just ended.
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def address_space_of(pid: int) -> int:
    """The size of a process's address space in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def group_is_alive(group: int) -> bool:
    """True if a process of this group still exists."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(group: int) -> None:
    """Send SIGKILL to all processes of a group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
