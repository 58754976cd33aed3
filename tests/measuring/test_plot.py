from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from pellucid.errors import MissingExtraError
from pellucid.measuring import plot
from pellucid.measuring.rounds import BenchResult, Contender, ModelMeasurement


def measurement(model: str, seconds: float) -> ModelMeasurement:
    return ModelMeasurement(
        Contender(model),
        model,
        "folder",
        "bert",
        16,
        24,
        1000,
        4000,
        500,
        0,
        (7_000_000,),
        (0.1,),
        (0.002,),
        (seconds,),
    )


def result(count: int) -> BenchResult:
    measurements = tuple(measurement(f"org/model-{number}", number + 1) for number in range(count))
    matrix = np.where(np.eye(count), 1, 0.625) if count > 1 else None
    return BenchResult(measurements, {}, 90, 10 if count > 1 else 0, matrix)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_picture_shows_every_model_and_number(tmp_path, count):
    plot.draw(result(count), tmp_path / "p.svg", "where & when")
    # matplotlib draws letters as curves, but writes each text into a comment.
    texts = re.findall(r"<!-- (.*?) -->", (tmp_path / "p.svg").read_text(), re.DOTALL)
    for number in range(count):
        assert any(f"model-{number}" in text for text in texts)
        assert f"{90 / (number + 1):,.0f}" in texts
    assert (texts.count("2.00"), texts.count("7")) == (count, count)
    assert texts.count("62.5%") == count * (count - 1)
    assert ("agreement" in [text.strip() for text in texts]) == (count > 1)


def test_the_ending_of_the_name_decides_the_format(tmp_path):
    plot.draw(result(2), tmp_path / "p.png", "")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    plot.require_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install '.[plot]'")):
        plot.require_matplotlib()
