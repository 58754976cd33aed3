from __future__ import annotations

import re

import pytest

from pellucid import Reranker
from pellucid.cli.score_views import score_views
from tests import tiny
from tests.cli.test_explain_views import shown


@pytest.fixture(scope="module")
def reranker(tmp_path_factory) -> Reranker:
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m"))


@pytest.mark.parametrize("width", [50, 60, 80, 160])
def test_a_score_fits_the_terminal_and_no_number_is_cut(reranker, width):
    found = reranker.explain("the cat", "a dog sat. The cat sat, on the mat! A matting")
    text = shown(score_views(found), width)
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"[\d.]…", text)
    assert f"score {found.score:.4f}  sigmoid of the logit {found.logit:.3f}\n" in text
    for changes in (found.query_changes.words, found.document_changes.sentences):
        assert all(f"{change:+.3f}" in text for change in changes.tolist() if abs(change) >= 0.0005)
    joined = " ".join(text.split())
    assert "They do not add up to the score" in joined
    assert "Attention shows what was read, not what counted." in joined


def test_marks_show_the_strongest_words_without_colours(reranker):
    found = reranker.explain("the cat", "a dog sat on the mat")
    text = shown(score_views(found))
    (line,) = re.findall(r"^the document\n(.*)$", text, flags=re.MULTILINE)
    changes = [found.query_changes.words, found.document_changes.words]
    largest = max(abs(change) for side in changes for change in side.tolist())
    marked = [
        word.text + ("" if abs(change) < largest / 3 else "▲" if change > 0 else "▼")
        for word, change in zip(found.document.words, changes[1].tolist(), strict=True)
    ]
    assert line.split() == marked
    assert any(len(word) > len(word.rstrip("▲▼")) for word in marked + text.split())


def test_a_text_that_was_cut_and_one_that_is_empty(reranker):
    text = shown(score_views(reranker.explain("", "the cat sat. " * 30)))
    assert "the query\n(empty)" in text
    assert "The model read only 21 tokens of the document: its end was cut off." in text


def test_a_long_text_is_shortened(tmp_path):
    reranker = Reranker(tiny.write_scoring_model(tmp_path / "m", max_tokens=20))
    text = shown(score_views(reranker.explain("the cat", "the cat sat. " * 500)))
    assert "… and 5,500 more characters" in " ".join(text.split())
    assert len(text.splitlines()) < 70


@pytest.mark.parametrize("hostile", ["[red]cat[/red] cat", "\x1b[31mcat", "cat\r\x07cat", "\u202ecat", "\x9b31m cat"])
def test_a_text_cannot_control_the_terminal(reranker, hostile):
    text = shown(score_views(reranker.explain(hostile, hostile, prompt=hostile)))
    assert all(character.isprintable() or character == "\n" for character in text)
    if hostile.startswith("["):
        assert "[red]" in text
