"""What importing, constructing and calling cost on this machine: files, network connections, memory and time.

A new process does all three and measures itself; see ``lifecycle_script.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.errors import ModelError
from pellucid.reprs import short_repr


@dataclass(frozen=True)
class Phase:
    """The cost of one phase.

    Attributes:
        name: "import", "construct" or "call".
        seconds: how long it took.
        memory: by how many bytes the process grew.
        modules: how many modules Python loaded.
        connections: the hosts that the process connected to.
    """

    name: str
    seconds: float
    memory: int
    modules: int
    connections: tuple[str, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class ModelFile:
    """A file of the model that was read.

    Attributes:
        name: its path in the model's folder.
        size: its size in bytes.
        sha256: the SHA-256 of its content, in hexadecimal.
        official: True if that is the digest in the catalog or on the Hub, False if it is not; None if neither has one.
    """

    name: str
    size: int
    sha256: str
    official: bool | None

    __repr__ = short_repr


@dataclass(frozen=True)
class Lifecycle:
    """The life cycle of an embedder, up to its first call.

    Attributes:
        model_name: the model's name.
        source: where its files came from.
        folder: the folder with its files.
        phases: import, construct and call, in this order.
        files: the files that were read.
    """

    model_name: str
    source: str
    folder: str
    phases: tuple[Phase, ...]
    files: tuple[ModelFile, ...]

    __repr__ = short_repr


def observe(model: str, text: str, options: Mapping[str, Any]) -> Lifecycle:
    """Start a process that imports Pellucid, loads ``model`` and embeds ``text``, and measure each phase.

    Args:
        model: as for :class:`~pellucid.Embedder`.
        text: the text to embed.
        options: the other options of :class:`~pellucid.Embedder`.

    Raises:
        ModelError: that process could not load the model; the message is its own.
    """
    # The text goes through a pipe. Everyone on the machine could read it on the command line.
    request = json.dumps({"model": model, "text": text, "options": dict(options)})
    # Without -P, Python would search the script's folder first, and could take a module of ours for one of its own.
    command = [sys.executable, "-P", str(Path(__file__).with_name("lifecycle_script.py"))]
    process = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    if process.returncode:
        raise ModelError(process.stderr.strip() or f"the observed process ended with exit code {process.returncode}.")
    report = json.loads(process.stdout)
    phases = tuple(Phase(**phase | {"connections": tuple(phase["connections"])}) for phase in report["phases"])
    files = tuple(ModelFile(**file) for file in report["files"])
    return Lifecycle(report["model_name"], report["source"], report["folder"], phases, files)
