from __future__ import annotations

import numpy as np
import pytest

from pellucid.cli.comparison_table import break_name, print_comparison
from pellucid.measuring.rounds import BenchResult, Contender, ModelMeasurement

LONG = "paraphrase-multilingual-MiniLM-L12-v2"


def comparison(*names: str, seconds: tuple[float, ...] = (2.0,)) -> BenchResult:
    measurements = tuple(
        ModelMeasurement(
            Contender(f"org/{name}"), name, "folder", "bert", 1024, 512, 560_000_000, 2_240_000_000, 90_000, 3,
            (2_500_000_000,), (1.25,), (0.01234,), seconds,
        )
        for name in names
    )  # fmt: skip
    return BenchResult(measurements, {}, 4_000, 10, np.full((len(names), len(names)), 0.5) + 0.5 * np.eye(len(names)))


def lines(capsys, monkeypatch, width: int, *names: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    print_comparison(comparison(*names), "all 4,000 texts of [x]", "float32; 2 threads, avx2")
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_three_models_fit_whatever_their_names(capsys, monkeypatch, width):
    shown = lines(capsys, monkeypatch, width, LONG, "all-mpnet-base-v2", LONG[::-1])
    assert max(map(len, shown)) <= width
    assert shown[0] == "all 4,000 texts of [x]"
    (row,) = [line.split() for line in shown if line.startswith("memory")]
    assert row == ["memory", *["2,500.0", "MB"] * 3]
    for key, value in {
        "texts/s": "2,000",
        "tokens/s": "45,000",
        "one query": "12.34 ms",
        "parameters": "560.0 M",
    }.items():
        assert any(line.startswith(key) and line.count(value) == 3 for line in shown)


def test_more_models_than_fit_get_a_second_table_and_a_number_is_never_cut(capsys, monkeypatch):
    names = [f"model-{letter}" for letter in "abcdefghijklm"]
    shown = lines(capsys, monkeypatch, 80, *names)
    headings = [line.split() for line in shown if line.strip().startswith("model-")]
    assert [name for heading in headings for name in heading] == names
    assert [len(heading) for heading in headings] == [5, 5, 3]
    assert "".join(shown).count("100.0%") == 13
    assert "".join(shown).count("50.0%") == 13 * 12
    assert "…" not in "".join(shown)
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(("seconds", "is_reported"), [((2.0, 2.3, 2.1), False), ((2.0, 2.0, 5.0), True)])
def test_rounds_that_differ_much_are_reported(capsys, monkeypatch, seconds, is_reported):
    monkeypatch.setenv("COLUMNS", "120")
    print_comparison(comparison("steady", seconds=seconds), "", "")
    assert (
        "The slowest round of steady took 2.5 times as long as the fastest" in capsys.readouterr().out
    ) == is_reported


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("all-MiniLM-L6-v2", 16, ["all-MiniLM-L6-v2"]),
        ("all-MiniLM-L6-v2", 15, ["all-MiniLM-L6-", "v2"]),
        (f"{LONG} int8", 12, ["paraphrase-", "multilingual-", "MiniLM-L12-", "v2", "int8"]),
        ("org/a_name", 6, ["org/a_", "name"]),
        ("x", 1, ["x"]),
    ],
)
def test_a_name_is_broken_after_its_separators(name, width, expected):
    assert break_name(name, width).split("\n") == expected
