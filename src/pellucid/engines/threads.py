"""How many threads to use by default: one for each CPU core that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

MAX_THREADS = 1 << 14
"""More than any machine has."""


def usable_processors() -> int:
    """The number of available CPU cores: those that the scheduler allows, limited by the quota of the control group.

    Part of a core counts as one.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in cgroup_quotas())]))


def cgroup_quotas(root: Path = Path("/")) -> Iterator[float]:
    """The CPU limits of this process's control groups, in cores. Containers set these limits; see cgroups(7).

    In version 2, each group has a file ``cpu.max`` with two fields: the quota, which may be "max", and the period. In
    version 1, quota and period are in two files.
    """
    for group in _cgroup_folders(root):
        try:
            if (group / "cpu.max").is_file():
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota = (group / "cpu.cfs_quota_us").read_text().strip()
                period = (group / "cpu.cfs_period_us").read_text()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue  # This group has no limit, or none that we can read.


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """The folders of this process's control group and of the groups above it, for both versions of cgroups."""
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
        # In a container, the path may be the host's, while the group itself is mounted at the top.
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mount))
