"""The attack tells all kinds of faults apart, keeps what repeats a case, and reports faults by its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack.faults import CASES

ROOT = Path(__file__).parents[2]
NAMES = list(CASES)
SCRIPT = "import attack.run as r; r.TARGETS = {'faults': 'tests.attack.faults'}; r.main()"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the attack reads /proc")


def run_attack(folder, *arguments):
    """Run in a new process: the attack forks, and pytest has threads."""
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
def full_attack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attack")
    return folder / "build/attack", run_attack(folder)


def kind_of(output, name):
    path = output / f"faults-{NAMES.index(name)}" / "case.json"
    return json.loads(path.read_text())["kind"] if path.exists() else "no fault"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ok", "no fault"),
        ("long output", "no fault"),
        ("refused", "no fault"),
        ("empty message", "wrong"),
        ("wrong", "wrong"),
        ("raw", "raw"),
        ("panic", "raw"),
        ("crash", "crash"),
        ("exit", "crash"),
        ("hang", "hang"),
        ("memory", "memory"),
        ("memory of a child", "memory"),
        ("orphan", "orphan"),
    ],
)
def test_each_kind_of_fault_is_recognized(full_attack, name, kind):
    assert kind_of(full_attack[0], name) == kind


def test_faults_are_counted_and_make_the_exit_status_1(full_attack):
    output, process = full_attack
    summary = json.loads((output / "summary.json").read_text())["faults"]
    assert (summary["cases"], summary["ok"], summary["refused"]) == (len(CASES), 2, {"ModelError": 1})
    assert sum(fault["cases"] for fault in summary["faults"].values()) == len(CASES) - 3
    assert process.returncode == 1
    assert "crash: SIGSEGV" in process.stdout


def test_a_case_repeated_by_its_number_makes_the_same_random_choices(full_attack, tmp_path):
    number = NAMES.index("wrong")
    case = json.loads((full_attack[0] / f"faults-{number}" / "case.json").read_text())
    assert case["command"] == f"python -m attack.run faults --seed 19 --case {number}"
    assert run_attack(tmp_path, *case["command"].split()[3:]).returncode == 1
    files = [folder / f"faults-{number}/files/random.txt" for folder in (full_attack[0], tmp_path / "build/attack")]
    assert files[0].read_text() == files[1].read_text()


def test_without_a_fault_nothing_is_kept(tmp_path):
    assert run_attack(tmp_path, "faults", "--short").returncode == 0
    assert [path.name for path in (tmp_path / "build/attack").iterdir()] == ["summary.json"]
