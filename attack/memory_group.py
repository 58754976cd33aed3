"""A memory limit that the kernel enforces, by a control group of version 1 or 2. It needs the right to make groups."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")

_NAME = "pellucid-attack-"


@dataclass(frozen=True)
class MemoryGroup:
    """A control group whose processes share one memory limit.

    Attributes:
        folder: the group's folder below ``/sys/fs/cgroup``.
    """

    folder: Path

    def add(self, pid: int) -> None:
        """Put a process into the group. Its children will be in the group too."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def peak(self) -> int:
        """The group's peak memory in bytes, with cached pages of files; 0 if the kernel does not report it."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if (self.folder / name).exists():
                return int((self.folder / name).read_text())
        return 0


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup | None]:
    """Make a group with a limit in bytes, and remove it afterwards. Yield None if this system does not allow one, for
    example without root.
    """
    folder = _make_group(limit)
    if folder is None:
        yield None
        return
    try:
        yield MemoryGroup(folder)
    finally:
        for _ in range(100):  # The kernel takes a moment to forget processes that have ended.
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def _make_group(limit: int) -> Path | None:
    names = (("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), ("memory.max", "memory.swap.max"))
    for parent, (memory_file, swap_file) in zip((V1, V2), names, strict=True):
        folder = parent / f"{_NAME}{os.getpid()}"
        for old in parent.glob(f"{_NAME}*"):
            with contextlib.suppress(OSError):  # Another attack still uses this group.
                old.rmdir()
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / memory_file).write_text(str(limit))
            if (folder / swap_file).exists():
                (folder / swap_file).write_text(str(limit if parent == V1 else 0))
        except OSError:
            folder.rmdir()
            continue
        return folder
    return None
