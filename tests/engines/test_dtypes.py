from __future__ import annotations

import re
from pathlib import Path

import pytest

from pellucid.engines.dtypes import NATIVE_DTYPES, fastest_dtype

SETS = sorted(
    {
        name
        for path in (Path(__file__).parents[2] / "native" / "isa").glob("*.cpp")
        for name in re.findall(r'"(\w+)"\)', path.read_text(encoding="utf-8"))
    }
)


def test_the_names_are_found_in_the_sources():
    assert {"amx", "avx2", "avx512_bf16", "neon", "scalar"} <= set(SETS)


@pytest.mark.parametrize("instruction_set", SETS)
def test_each_instruction_set_has_a_fastest_dtype(instruction_set):
    assert fastest_dtype(instruction_set) in NATIVE_DTYPES
