"""Compares programs that need PyTorch themselves, with the real library and with Pellucid in its place."""

from __future__ import annotations

import pytest

from tests.programs.running import differences, run_program


@pytest.mark.parametrize("name", ["embetter", "mteb", "txtai"])
def test_the_results_are_the_same(name, minilm):
    found, expected = (run_program(name, minilm.files.folder, with_pellucid=ours) for ours in (True, False))
    assert differences(found, expected) == []
