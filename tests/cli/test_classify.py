from __future__ import annotations

import json

import pytest

from pellucid import Classifier
from tests import tiny
from tests.cli.command import run

TEXTS = ["the cat sat", "a dog", "", "the [bold]mat[/bold] \x1b[31m", "cat"]
PAIRS = [("the cat", "a dog"), ("", ""), ("the dog", ""), ("a mat", "the [b]bird[/b]")]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m", labels=3)
    tiny.edit_json(folder / "config.json", id2label={"0": "yes", "1": "[b]no[/b] \x1b", "2": "maybe"})
    return str(folder)


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"text": a, "reply": b}) + "\n" for a, b in PAIRS), encoding="utf-8")
    return path


def classify(model, *arguments: str, stdin: bytes = b""):
    return run("classify", "--model", model, *arguments, stdin=stdin)


def records(result):
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_each_text_is_a_line_of_json_with_its_label(model):
    classifier = Classifier(model)
    texts = [text for text in TEXTS if text]
    result = classify(model, stdin="\n".join(TEXTS).encode())
    found = records(result)
    assert [record["line"] for record in found] == [1, 2, 4, 5]
    assert [record["label"] for record in found] == classifier.classify(texts)
    highest = classifier.probabilities(texts).max(axis=1)
    assert [record["probability"] for record in found] == pytest.approx(highest.tolist(), rel=1e-6)
    assert [record["text"] for record in found] == texts
    assert "\x1b" not in result.out


def test_several_labels_come_in_the_order_of_their_probability(model):
    classifier = Classifier(model)
    (record,) = records(classify(model, "--all", stdin=b"the cat"))
    expected = dict(zip(classifier.labels, classifier.probabilities(["the cat"])[0].tolist(), strict=True))
    assert [each["label"] for each in record["labels"]] == sorted(expected, key=lambda label: -expected[label])
    assert {each["label"]: each["probability"] for each in record["labels"]} == pytest.approx(expected, rel=1e-6)
    assert {key: record[key] for key in ("label", "probability")} == record["labels"][0]
    (fewer,) = records(classify(model, "--top", "2", stdin=b"the cat"))
    assert fewer["labels"] == record["labels"][:2]


def test_two_columns_of_a_table_are_pairs(model, pairs):
    found = records(classify(model, str(pairs), "--second-column", "reply"))
    kept = [pair for pair in PAIRS if any(pair)]
    assert [record["row"] for record in found] == [1, 3, 4]
    assert [(record["text"], record["second_text"]) for record in found] == kept
    assert [record["label"] for record in found] == Classifier(model).classify(kept)
    highest = Classifier(model).probabilities(kept).max(axis=1).tolist()
    assert [record["probability"] for record in found] == pytest.approx(highest, rel=1e-6)


def test_people_see_a_line_for_each_label(model, pairs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    header, *rows = classify(model, "--no-json", "--top", "2", stdin="\n".join(TEXTS).encode()).out.splitlines()
    assert header.split() == ["line", "label", "probability", "text"]
    assert len(rows) == 2 * 4
    assert all(len(row) <= 60 for row in rows)
    assert sum("the cat sat" in row for row in rows) == 1
    assert any(r"[b]no[/b] \x1b" in row for row in rows)
    header, *rows = classify(model, str(pairs), "--second-column", "reply", "--no-json").out.splitlines()
    assert header.split() == ["row", "label", "probability", "text", "reply"]
    assert rows[-1].split()[-2:] == ["the", "[b]bird[/b]"]


def test_no_texts_have_no_labels(model):
    assert classify(model, stdin=b"\n \n").out == ""
    assert classify(model, "--no-json").out == "no texts\n"


def test_a_pair_that_is_too_long_is_named_by_its_row(model, pairs):
    pairs.write_text(pairs.read_text() + json.dumps({"text": "cat", "reply": "dog " * 100}) + "\n")
    result = classify(model, str(pairs), "--second-column", "reply", "--max-tokens", "20")
    assert "(the first is row 5)" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "--top must be at least 1."),
        (["--top", "2", "--all"], "give --top or --all, not both."),
        (
            ["--second-column", "reply"],
            "--second-column is for .csv, .jsonl and .parquet files; other texts are lines.",
        ),
        (["{pairs}", "--second-column", "text"], "--column and --second-column are the same column."),
        (
            ["{pairs}", "--second-column", "other"],
            "line 1: it has no column 'other'; its columns are 'text', 'reply'. Choose one with --second-column",
        ),
    ],
)
def test_a_wrong_call_is_refused_with_a_reason(model, pairs, arguments, message):
    result = classify(model, *(argument.format(pairs=pairs) for argument in arguments), stdin=b"x")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_the_model_has_no_default():
    result = run("classify", stdin=b"the cat")
    assert result.code == 2
    assert "missing option '--model' / '-m'" in result.err


def test_a_missing_second_column_is_named_with_its_option(model, tmp_path):
    (tmp_path / "t.csv").write_text("text,reply\na,b\n")
    result = classify(model, str(tmp_path / "t.csv"), "--second-column", "other")
    assert result.err.endswith("its columns are 'text', 'reply'. Choose one with --second-column.\n")
