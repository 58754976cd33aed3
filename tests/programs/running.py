"""Runs a program, with sentence-transformers or with Pellucid in its place, and compares results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FROZEN = HERE / "frozen.json"
TOLERANCE = 5e-6
_ENVIRONMENT = {
    "PYTHONPATH": str(HERE.parent.parent),
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",  # Chroma's
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
}


def run_program(name: str, folder: Path, *, with_pellucid: bool) -> Any:
    """Run a program on the model in a folder, and return its results."""
    start = ["-m", "pellucid.sentence_transformers"] if with_pellucid else []
    command = [sys.executable, "-W", "ignore", *start, str(HERE / f"{name}_program.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **_ENVIRONMENT}, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Where two results differ: in a float by more than the tolerance, or in anything else."""
    if isinstance(expected, float) and isinstance(found, float):
        return [] if abs(found - expected) <= TOLERANCE else [f"{where}: {found} is not {expected}"]
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        return [line for key in expected for line in differences(found[key], expected[key], f"{where}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{where}/{number}")]
    return [] if type(found) is type(expected) and found == expected else [f"{where}: {found} is not {expected}"]
