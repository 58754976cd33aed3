"""A bound on memory that the kernel keeps: a control group, of version 1 or 2, where we may make one."""

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
    """Processes that may hold so much memory together, and no more."""

    folder: Path

    def add(self, pid: int) -> None:
        """Put a process into the group; its children will be there too."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def peak(self) -> int:
        """The most bytes that the group has held, 0 if the kernel does not say. Cached pages of files count."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if (self.folder / name).exists():
                return int((self.folder / name).read_text())
        return 0


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup | None]:
    """A group of at most ``limit`` bytes; None where this system gives us none, as without root."""
    folder = _made(limit)
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


def _made(limit: int) -> Path | None:
    names = (("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), ("memory.max", "memory.swap.max"))
    for parent, (most, swap) in zip((V1, V2), names, strict=True):
        folder = parent / f"{_NAME}{os.getpid()}"
        for old in parent.glob(f"{_NAME}*"):
            with contextlib.suppress(OSError):  # Somebody else's, who is at work.
                old.rmdir()
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / most).write_text(str(limit))
            if (folder / swap).exists():
                (folder / swap).write_text(str(limit if parent == V1 else 0))
        except OSError:
            folder.rmdir()
            continue
        return folder
    return None
