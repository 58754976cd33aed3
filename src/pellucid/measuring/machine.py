"""What a result must say of where it was measured, without naming the machine or any of its folders."""

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
    """Processor, instruction set, memory in bytes (None where it is not known), system, and versions."""
    pages = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ())
    return {
        "processor": _processor(),
        "instruction_set": instruction_set(),
        "usable_processors": usable_processors(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if pages else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pellucid": __version__,
    }


def _processor() -> str:
    """The model of the processor; Python knows only the architecture on Linux, which has a list of its own."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
