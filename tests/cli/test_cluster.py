from __future__ import annotations

import json

import pytest

from tests.cli.command import run
from tests.explain.test_text_map import TOPICS


def cluster(*arguments: str, stdin: bytes = b""):
    return run("cluster", "--model", "all-MiniLM-L6-v2", *arguments, stdin=stdin)


@pytest.fixture(scope="module")
def topics(minilm) -> bytes:
    return "\n\n".join(TOPICS).encode()


@pytest.mark.parametrize("arguments", [[], ["-k", "5"], ["-", "-k", "5"]])
def test_each_text_is_a_line_of_json(topics, arguments):
    records = [json.loads(line) for line in cluster(*arguments, stdin=topics).out.splitlines()]
    assert [record["text"] for record in records] == list(TOPICS)
    assert [record["line"] for record in records] == list(range(1, 40, 2))
    assert [record["cluster"] for record in records] == [number for number in range(1, 6) for _ in range(4)]
    for number in range(1, 6):
        group = [record for record in records if record["cluster"] == number]
        assert sum(record["representative"] for record in group) == 1
        (name,) = {record["cluster_name"] for record in group}
        assert name
        assert all(word in " ".join(record["text"].lower() for record in group) for word in name.split(", "))


def test_people_see_names_sizes_and_typical_texts(topics, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    blocks = cluster("--no-json", "-k", "5", stdin=topics).out.strip().split("\n\n")
    hint = "--full shows every text. -k or --threshold gives more or fewer clusters."
    assert " ".join(blocks.pop().split()) == hint
    assert len(blocks) == 5
    for number, block in enumerate(blocks, 1):
        heading, *texts, more = block.splitlines()
        assert heading.startswith(f"{number}  ")
        assert heading.endswith("  4 texts")
        assert len(texts) == 3
        assert more == "  … and 1 more"
        assert all(len(text) <= 40 for text in texts)
    full = cluster("--no-json", "--full", "-k", "5", stdin=topics).out
    assert all(text in " ".join(full.split()) for text in TOPICS)


def test_many_clusters_are_listed_in_part(topics):
    texts = topics + b"\n" + "\n".join(f"number {number}" for number in range(30)).encode()
    out = cluster("--no-json", "--threshold", "1", stdin=texts).out
    assert out.endswith(
        "… and 30 clusters of 30 texts\n\n--full shows every text. -k or --threshold gives more or fewer clusters.\n"
    )
    assert "number 29" in cluster("--no-json", "--threshold", "1", "--full", stdin=texts).out


def test_no_texts_give_no_clusters():
    assert cluster(stdin=b"\n").out == ""
    assert cluster("--no-json", stdin=b"").out == "no texts\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-k", "2", "--threshold", "0.5"], "give -k or --threshold, not both."),
        (["-k", "0"], "-k 0 must be a whole number of at least 1."),
        (["--threshold", "0"], "--threshold 0.0 must be above 0, and at most 1: it is a cosine."),
    ],
)
def test_a_wrong_option_is_named(arguments, message):
    result = cluster(*arguments, stdin=b"x")
    assert (result.code, result.err) == (2, f"pellucid: {message}\n")
