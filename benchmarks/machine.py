"""Describes the machine and the software that were measured, without naming the machine or any of its folders."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

FLAGS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16", "hypervisor", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""The CPU flags that decide which kernels run, and ``hypervisor``, which marks a virtual machine."""
_VERSIONS = """
import importlib.metadata, json, platform
found = {d.name: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), **dict(sorted(found.items()))}))
"""


def describe() -> dict[str, Any]:
    cpu = _cpuinfo()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "cpu_family_model": f"{cpu.get('cpu family', '?')}/{cpu.get('model', '?')}",
        "flags": [flag for flag in FLAGS if flag in flags()],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def flags() -> set[str]:
    """The names that Linux gives to what the processor can do."""
    cpu = _cpuinfo()
    return set((cpu.get("flags") or cpu.get("Features") or "").split())


def describe_run(model: str) -> dict[str, Any]:
    """The start of every result: the machine, the commit and the model."""
    return {"machine": describe(), "commit": commit(), "model": Path(model).name}


def write_figures(figures: dict[str, Any], file: Path | None) -> None:
    """Print figures as JSON, and write them to ``file`` if there is one."""
    text = json.dumps(figures, indent=2)
    print(text)
    if file is not None:
        file.write_text(f"{text}\n", encoding="utf-8")


def versions(python: str) -> dict[str, str]:
    """The versions of a Python and of every package in its environment."""
    return dict(json.loads(subprocess.check_output([python, "-P", "-c", _VERSIONS], text=True)))


def commit() -> str:
    """The commit that was measured, with ``-dirty`` if any file differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.check_output(command, text=True, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def without_folders(message: str) -> str:
    """Remove the folders from the absolute paths in a message, because results are published."""
    return re.sub(r"(?<![\w.])/(?:[^\s/'\"]+/)+", "…/", message)


def _cpuinfo() -> dict[str, str]:
    """Linux's description of the first processor."""
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
