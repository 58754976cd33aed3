from __future__ import annotations

import json
import re
import sys

import pytest

from pellucid import Embedder
from pellucid.measuring import rounds as measuring
from pellucid.measuring.texts import sha256
from tests import tiny
from tests.cli.command import run

LINES = ["the cat", "a dog", "", "the cat", "a cat sat", "  ", "the mat", "dog on mat", "cat " * 30, "the dog"]
DIFFERENT = ["the cat", "a dog", "a cat sat", "the mat", "dog on mat", "cat " * 30, "the dog"]


@pytest.fixture(autouse=True)
def _one_round(monkeypatch):
    monkeypatch.setattr(measuring, "ROUNDS", 1)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("models") / "tiny-other", seed=1)


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "notes.txt").write_text("\n".join(LINES))
    return tmp_path / "notes.txt"


def compare(*arguments, **options):
    return run("models", "compare", *map(str, arguments), **options)


def test_a_table_has_a_column_for_each_model_and_a_row_for_each_figure(tiny_bert, other, texts):
    result = compare(tiny_bert, other, "--file", texts, "--threads", 1)
    assert (result.code, result.err) == (0, "")
    first, setting, *lines = [line for line in result.out.splitlines() if line]
    assert first == "all 7 different texts of notes.txt"
    assert setting.startswith("float32; 1 thread, ")
    rows = {line[:10].strip(): line[10:].split() for line in lines[:11]}
    assert rows[""] == ["tiny-bert", "tiny-other"]
    assert (rows["dimensions"], rows["max tokens"], rows["texts cut"]) == (["16"] * 2, ["24"] * 2, ["1"] * 2)
    assert list(rows)[4:] == ["parameters", "on disk", "memory", "loading", "one query", "texts/s", "tokens/s"]
    for key in ("texts/s", "tokens/s"):
        assert all(int(value.replace(",", "")) > 0 for value in rows[key])
    assert "agreement on the 3 nearest texts" in result.out  # At most half of the six others.
    assert re.search(r"^1 +tiny-bert +100.0% +[\d.]+%$", result.out, re.MULTILINE)
    assert "by chance it would be 50.0%" in result.out


def test_json_has_all_measurements_and_the_machine_but_no_text(tiny_bert, other, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "ROUNDS", 2)
    file = tmp_path / "figures.json"
    result = compare(tiny_bert, other, "--file", texts, "--neighbours", 2, "--output", file)
    assert (result.code, result.err) == (0, f"Wrote {file}.\n")
    content = json.loads(file.read_text())
    assert content["texts"] == {"count": 7, "of": "notes.txt", "sha256": sha256(DIFFERENT)}
    assert (content["neighbours"], content["failures"]) == (2, [])
    assert content["machine"]["processor"]
    assert [model["model"] for model in content["models"]] == [str(tiny_bert), str(other)]
    for model in content["models"]:
        assert (model["dtype"], model["texts_cut"], len(model["loading_seconds"])) == ("float32", 1, 2)
        assert "contender" not in model
        assert model["tokens"] == Embedder(tiny_bert).count_tokens(DIFFERENT).clip(max=24).sum()
    (_, agreement), (transposed, _) = content["agreement"]
    assert agreement == transposed
    assert f"{agreement:.1%}" in result.out
    assert not any(text in file.read_text() for text in DIFFERENT)


def test_json_on_standard_output_takes_the_place_of_the_tables(tiny_bert, texts, tmp_path):
    result = compare(tiny_bert, "--file", texts, "--json", "--output", tmp_path / "figures.json")
    assert result.out == (tmp_path / "figures.json").read_text()


def test_a_table_gives_the_texts_of_its_column(tiny_bert, tmp_path):
    (tmp_path / "t.csv").write_text("id,body\n0,the cat\n1,a dog\n")
    result = compare(tiny_bert, "--file", tmp_path / "t.csv", "--column", "body")
    assert result.out.startswith("all 2 different texts of t.csv\n")


def test_the_limit_keeps_the_first_texts_and_the_output_says_so(tiny_bert, texts):
    assert compare(tiny_bert, "--file", texts, "--limit", 3).out.startswith(
        "the first 3 different texts of notes.txt\n"
    )
    assert compare(tiny_bert, "--file", texts, "--limit", 7).out.startswith("all 7 different texts")


def test_texts_default_to_docstrings_and_a_dash_reads_standard_input(tiny_bert):
    assert compare(tiny_bert, "--limit", 5).out.startswith("the first 5 different texts of the docstrings of Python's")
    result = compare(tiny_bert, "--file", "-", stdin="\n".join(LINES).encode())
    assert result.out.startswith("all 7 different texts of standard input\n")


def test_several_dtypes_are_compared_side_by_side(tiny_bert, texts):
    result = compare(tiny_bert, "--file", texts, "--dtype", "float32", "--dtype", "int8")
    assert "float32, int8; " in result.out
    assert re.search(r"^ +float32 +int8$", result.out, re.MULTILINE)
    assert re.search(r"^2 +tiny-bert int8 ", result.out, re.MULTILINE)


def test_plot_draws_a_picture(tiny_bert, other, texts, tmp_path):
    result = compare(tiny_bert, other, "--file", texts, "-o", tmp_path / "p.svg")
    assert (result.code, result.err) == (0, f"Wrote {tmp_path / 'p.svg'}.\n")
    assert "all 7 different texts of notes.txt; float32; " in (tmp_path / "p.svg").read_text()


def test_if_one_model_fails_it_is_named_the_others_are_shown_and_the_exit_status_is_3(
    tiny_bert, broken, texts, tmp_path
):
    (broken / "config.json").write_text("{")
    file = tmp_path / "figures.json"
    result = compare(tiny_bert, broken, "--file", texts, "--output", file)
    assert result.code == 3
    assert "tiny-bert" in result.out
    assert result.err.startswith(f"Wrote {file}.\npellucid: {broken} was not measured: {broken}: config.json")
    assert result.err.count("\n") == 2
    assert [failure["model"] for failure in json.loads(file.read_text())["failures"]] == [str(broken)]


def test_if_all_models_fail_there_is_no_table_and_no_file(texts, tmp_path):
    result = compare("./nowhere", "--file", texts, "-o", tmp_path / "f.json", "-o", tmp_path / "f.png")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("pellucid: ./nowhere was not measured: no folder './nowhere'")
    assert list(tmp_path.iterdir()) == [texts]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "/nowhere.txt"], "there is no file /nowhere.txt"),
        (["--column", "body"], "--column needs --file"),
        (["--output", "p.gif"], "-o p.gif: the ending must be .json, .png or .svg."),
        (["--output", "/nowhere/p.png"], "there is no folder /nowhere. Make it first."),
        (["--threads", "0"], "--threads 0 must be"),
        (["no/such-model"], "no/such-model is listed twice"),
        (["--limit", "0"], "invalid value"),
        (["--neighbours", "0"], "invalid value"),
    ],
)
def test_a_wrong_call_is_refused_before_a_model_is_looked_for(arguments, message):
    result = compare("no/such-model", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_file_of_blank_lines_is_refused(tmp_path):
    (tmp_path / "blank.txt").write_text("\n  \n")
    result = compare("no/such-model", "--file", tmp_path / "blank.txt")
    assert (result.code, f"there is no text in {tmp_path / 'blank.txt'}" in result.err) == (2, True)


def test_a_missing_matplotlib_is_reported_before_anything_is_measured(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = compare("no/such-model", "--output", tmp_path / "p.png")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith("run: pip install '.[plot]'\n")
