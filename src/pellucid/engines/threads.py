"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_processors() -> int:
    """The processors that the scheduler lets this process run on, and no more than its control group pays for."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in cgroup_quotas())]))


def cgroup_quotas(root: Path = Path("/")) -> Iterator[float]:
    """The limits, in processors, of the control groups that hold this process (cgroups(7)); containers set them.

    Version 2 has ``cpu.max`` in each group, "max" or a number and then the period; version 1 has two files.
    """
    for group in _groups(root):
        try:
            if (group / "cpu.max").is_file():
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text().strip()
                period = (group / "cpu.cfs_period_us").read_text()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue  # No limit here, or none that we can read: the affinity stands.


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's group and of those above it, in either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = mount / path.lstrip("/")
        # In a container the path may be the host's, and the group is mounted at the top.
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mount))
