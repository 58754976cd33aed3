from __future__ import annotations

import json
import re

import pytest

from pellucid.cli.older_spellings import OLDER_SPELLINGS, json_file_to_output
from tests.cli.command import run


@pytest.mark.parametrize("name", list(OLDER_SPELLINGS))
def test_help_shows_todays_spelling_and_not_the_older_one(name):
    shown = run(*name.split(), "--help").out
    for older, new in OLDER_SPELLINGS[name].items():
        assert re.search(rf"--{new}\b|[<|]{new}[|>]", shown)
        assert not re.search(rf"--{older}\b|[<|]{older}[|>]", shown)


@pytest.mark.parametrize("join", [lambda option, value: [option, value], lambda option, value: [f"{option}={value}"]])
def test_commands_accept_older_spellings(tiny_bert, tmp_path, join):
    (tmp_path / "in.jsonl").write_text('{"body": "the cat"}\n')
    (tmp_path / "in.txt").write_text("the cat\na dog\nthe mat\n")
    model, html, npz, figures = str(tiny_bert), tmp_path / "x.html", tmp_path / "x.npz", tmp_path / "figures.json"
    picture = tmp_path / "figures.svg"
    calls = {
        ("embed", "cat", "-m", model): {"--on-truncation": "ignore"},
        ("explain", "cat", "-m", model): {"--html": html, "--npz": npz},
        ("batch", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out"), "-m", model): {
            "--text-column": "body",
            "--on-truncation": "reject",
        },
        ("models", "compare", model): {"--texts": tmp_path / "in.txt", "--json": figures, "--plot": picture},
    }
    for call, older in calls.items():
        options = (word for option, value in older.items() for word in join(option, str(value)))
        result = run(*call, *options)
        assert (result.code, "Error" in result.err) == (0, False), result.err
    assert all(file.stat().st_size for file in (html, npz, figures, picture))
    result = run("models", "pull", "none/such", *join("--source", "index"))
    assert "none/such is not in the catalog, so there is no copy of it on PyPI" in result.err


def test_texts_that_look_like_older_spellings_stay_texts(tiny_bert):
    result = run("embed", "--model", str(tiny_bert), "--prompt", "ignore", "ignore", "--", "--on-truncation", "--in")
    assert [json.loads(line)["text"] for line in result.out.splitlines()] == ["ignore", "--on-truncation", "--in"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a", "--json"], ["a", "--json"]),
        (["--json", "a", "b"], ["--json", "a", "b"]),
        (["a", "--json", "x.JSON"], ["a", "--output", "x.JSON"]),
        (["a", "--json=x.json"], ["a", "--output=x.json"]),
        (["a", "--", "--json", "x.json"], ["a", "--", "--json", "x.json"]),
        (["a", "--json", "--", "x.json"], ["a", "--json", "--", "x.json"]),
    ],
)
def test_json_with_a_file_is_an_output_and_json_alone_is_not(arguments, expected):
    assert json_file_to_output(arguments) == expected
