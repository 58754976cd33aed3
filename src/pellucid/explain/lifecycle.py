"""What importing, constructing and calling each did on this machine: files, network, memory, time.

A process of its own, which has done nothing before, does the three and watches itself: see ``watched.py``.
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


@dataclass(frozen=True)
class Phase:
    """One of the three.

    Attributes:
        name: "import", "construct" or "call".
        seconds: how long it took.
        memory: by how many bytes the process grew.
        modules: how many modules Python loaded.
        connections: the hosts that were connected to.
    """

    name: str
    seconds: float
    memory: int
    modules: int
    connections: tuple[str, ...]


@dataclass(frozen=True)
class ModelFile:
    """A file of the model that was read.

    Attributes:
        name: relative to the model's folder.
        size: in bytes.
        sha256: of its bytes, in hexadecimal.
        official: whether that is what the catalog or the Hub gives; None if neither says.
    """

    name: str
    size: int
    sha256: str
    official: bool | None


@dataclass(frozen=True)
class Lifecycle:
    """The life of an embedder so far.

    Attributes:
        model_name: the model.
        source: where its files came from.
        folder: where they are.
        phases: import, construct, call.
        files: those that were read.
    """

    model_name: str
    source: str
    folder: str
    phases: tuple[Phase, ...]
    files: tuple[ModelFile, ...]


def observe(model: str, text: str, options: Mapping[str, Any]) -> Lifecycle:
    """Watch a new process import Pellucid, load ``model`` with the options of ``Embedder``, and embed ``text``.

    Raises:
        ModelError: the model could not be loaded there; with that process's words.
    """
    # The text goes through a pipe, not on the command line, which everyone on the machine can read.
    asked = json.dumps({"model": model, "text": text, "options": dict(options)})
    # -P: this folder has modules that are called like those of the standard library.
    command = [sys.executable, "-P", str(Path(__file__).with_name("lifecycle_script.py"))]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(done.stderr.strip() or f"the process that was watched ended with {done.returncode}.")
    told = json.loads(done.stdout)
    phases = tuple(Phase(**phase | {"connections": tuple(phase["connections"])}) for phase in told["phases"])
    files = tuple(ModelFile(**file) for file in told["files"])
    return Lifecycle(told["model_name"], told["source"], told["folder"], phases, files)
