"""The harness tells every kind of fault apart, keeps what it needs to be repeated, and says so by its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack.faults import CASES

ROOT = Path(__file__).parents[2]
NUMBERS = list(CASES)
SCRIPT = "import attack.run as r; r.TARGETS = {'faults': 'tests.attack.faults'}; r.main()"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness asks /proc")


def attacked(folder, *arguments):
    """A process of its own: pytest has threads, which no fork should meet."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attack")
    return folder / "build/attack", attacked(folder)


def kind_of(output, case):
    path = output / f"faults-{NUMBERS.index(case)}" / "case.json"
    return json.loads(path.read_text())["kind"] if path.exists() else "no fault"


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("ok", "no fault"),
        ("loud", "no fault"),
        ("refused", "no fault"),
        ("unfit", "wrong"),
        ("wrong", "wrong"),
        ("raw", "raw"),
        ("panic", "raw"),
        ("crash", "crash"),
        ("exit", "crash"),
        ("hang", "hang"),
        ("memory", "memory"),
        ("child", "memory"),
        ("orphan", "orphan"),
    ],
)
def test_each_fault_is_told_from_the_others(whole, case, kind):
    assert kind_of(whole[0], case) == kind


def test_it_counts_them_and_fails(whole):
    output, done = whole
    told = json.loads((output / "summary.json").read_text())["faults"]
    assert (told["cases"], told["ok"], told["refused"]) == (len(CASES), 2, {"ModelError": 1})
    assert sum(fault["cases"] for fault in told["faults"].values()) == len(CASES) - 3
    assert done.returncode == 1
    assert "crash: SIGSEGV" in done.stdout


def test_a_case_is_repeated_by_its_number_and_draws_the_same(whole, tmp_path):
    number = NUMBERS.index("wrong")
    told = json.loads((whole[0] / f"faults-{number}" / "case.json").read_text())
    assert told["command"] == f"python -m attack.run faults --seed 19 --case {number}"
    assert attacked(tmp_path, *told["command"].split()[3:]).returncode == 1
    drawn = [folder / f"faults-{number}/files/drawn.txt" for folder in (whole[0], tmp_path / "build/attack")]
    assert drawn[0].read_text() == drawn[1].read_text()


def test_without_a_fault_nothing_is_kept(tmp_path):
    assert attacked(tmp_path, "faults", "--short").returncode == 0
    assert [path.name for path in (tmp_path / "build/attack").iterdir()] == ["summary.json"]
