"""A description of this machine for a result. It gives away neither the machine's name nor any folder."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import __version__
from pellucid.engines.native import instruction_set
from pellucid.engines.threads import usable_processors


def describe() -> dict[str, Any]:
    """Describe processor, instruction set, memory in bytes (None if unknown), operating system and versions."""
    memory_is_known = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ())
    return {
        "processor": _processor(),
        "instruction_set": instruction_set(),
        "usable_processors": usable_processors(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if memory_is_known else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pellucid": __version__,
    }


def _processor() -> str:
    """The processor's model. On Linux, Python knows only the architecture, but ``/proc/cpuinfo`` has the model."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
