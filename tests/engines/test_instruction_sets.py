"""No two instruction sets may share a function. The linker would keep the copy that it meets first, and that copy may
use instructions that this machine does not have.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("nm") is None, reason="needs ELF files, and nm from binutils"
)
def test_instruction_sets_share_no_function(tmp_path):
    # Without optimisation: it might inline a shared function here, where another compiler would not.
    tools = Path(sys.executable).parent
    run(
        *(tools / "cmake", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}", "-DPELLUCID_TESTS=ON"),
        *("-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O0", "-S", "native", "-B", tmp_path),
    )
    run(tools / "ninja", "-C", tmp_path, "core")
    objects = list(tmp_path.glob("CMakeFiles/core.dir/isa/*.o"))
    assert len(objects) > 1

    shared: Counter[str] = Counter()
    for path in objects:
        symbols = [line.split()[-2:] for line in run("nm", "--defined-only", path).splitlines()]
        shared.update({name for kind, name in symbols if kind == "W"})  # A weak symbol: the linker keeps one per name.
    assert len(shared) > 100  # The templates. Each set has its own copies.
    assert [name for name, sets in shared.items() if sets > 1] == []
