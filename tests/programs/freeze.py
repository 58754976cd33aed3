"""Writes ``frozen.json``: the results of the programs with the real sentence-transformers.

It needs an environment with sentence-transformers, PyTorch and the programs::

    python -m tests.programs.freeze FOLDER_OF_ALL_MINILM_L6_V2
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.programs.running import FROZEN, run_program
from tests.programs.test_programs import PROGRAMS

if __name__ == "__main__":
    results = {name: run_program(name, Path(sys.argv[1]), with_pellucid=False) for name in PROGRAMS}
    FROZEN.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
