"""What the script for a machine of minutes keeps when a part's time is up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture
def device(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import device

    return device


def read(device, code: str, limit: float):
    return device.read(device.begin([sys.executable, "-c", code]), limit)


def test_all_figures_of_a_part_that_ends(device):
    part = read(device, "print('[\"a, 1\", 2.5]'); print('noise'); print('[\"b\", {\"x\": 1}]')", 60)
    assert part == device.Part(figures={"a, 1": 2.5, "b": {"x": 1}})


def test_the_figures_so_far_of_a_part_that_is_stopped(device):
    code = "import time; print('[\"a\", 1]', flush=True); time.sleep(600)"
    part = read(device, code, 5)
    assert part.note == "stopped after 5 s"
    assert part.figures in ({"a": 1}, {})  # It may not have come so far on a busy machine.


def test_what_a_stopped_part_has_started_ends_too(device):
    """Else communicate() would wait for the child, which has the same pipe."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert read(device, code, 2).note == "stopped after 2 s"


def test_the_last_line_of_a_part_that_fails_without_folders(device):
    part = read(device, "raise OSError('no /some/folder/model.json')", 60)
    assert part == device.Part(note="OSError: no …/model.json")


def test_numbers_by_threads_share_a_line(device):
    figures = {"int8, 1": 1000.0, "int8, 2": 1900.0, "query, 2": 0.5, "note": "passed"}
    assert [line.split() for line in device.table(figures)] == [
        ["note", "passed"],
        ["threads", "1", "2"],
        ["int8", "1,000", "(1.00)", "1,900", "(1.90)"],
        ["query", "0.50", "(1.00)"],
    ]
