from __future__ import annotations

import re

import pytest

from pellucid import MultiVectorEmbedder
from pellucid.cli import alignment_views
from tests.cli.test_explain_views import shown
from tests.multi_vector_models import FIXED, write_model

DOCUMENT = "a dog, the cat sat. " * 9


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> MultiVectorEmbedder:
    folder = tmp_path_factory.mktemp("models") / "m"
    return MultiVectorEmbedder(write_model(folder, expansion=FIXED, prompts={"query": "the "}, document_length=40))


@pytest.mark.parametrize("width", [60, 80, 160])
def test_an_alignment_fits_the_terminal_and_no_number_is_cut(embedder, width):
    found = embedder.explain("the cat\x1b[31m", DOCUMENT)
    text = shown(alignment_views.alignment_views(found, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"[\d.]…", text)
    assert "\x1b" not in text
    assert text.startswith(f"score {found.score:.4f}")
    assert ("in the document" in text) == (width >= 72)
    for token, match, part in zip(found.query.tokens[:6], found.matches.tolist(), found.parts.tolist(), strict=False):
        pieces = (re.escape(token.piece), re.escape(found.document.tokens[match].piece))
        assert re.search(rf"^ *{part:.3f} +█* +\+?{pieces[0]} +\+?{pieces[1]}\s", text, re.MULTILINE)
    assert "The query was read after the prompt 'the '." in text
    assert re.search(r"The document: \d+ tokens skipped, which have no vector:\s+,×6\s+\.×5", text)
    assert f"{len(found.document.cut)} tokens of the document were cut off." in text


def test_tokens_that_fill_up_the_query_share_a_row_if_they_found_the_same(embedder):
    found = embedder.explain("the cat", DOCUMENT)
    text = shown(alignment_views.alignment_views(found, 160), 160)
    start = len(found.query.tokens) - found.query.expansion
    assert found.query.expansion > 0
    rows = re.findall(r"^ *(-?[\d.]+) .*\[MASK\] × (\d+) ", text, re.MULTILINE)
    expected = {}
    for match, part in zip(found.matches[start:].tolist(), found.parts[start:].tolist(), strict=True):
        count, total = expected.get(match, (0, 0.0))
        expected[match] = (count + 1, total + part)
    assert [(int(count), float(adds)) for adds, count in rows] == [
        (count, pytest.approx(total, abs=0.51e-3)) for count, total in expected.values()
    ]


def test_a_long_query_shows_its_first_tokens_and_what_the_rest_adds(embedder, monkeypatch):
    monkeypatch.setattr(alignment_views, "_MAX_ROWS", 2)
    found = embedder.explain("the cat", DOCUMENT)
    text = shown(alignment_views.alignment_views(found), 80)
    rest = found.score - float(found.parts[:2].sum())
    said = re.search(r"… and (\d+) more tokens, which add (-?[\d.]+)", text)
    assert (int(said[1]), float(said[2])) == (len(found.query.tokens) - 2, pytest.approx(rest, abs=0.51e-3))


def test_one_text_shows_its_vectors_and_what_is_skipped(embedder):
    found = embedder.explain_text(DOCUMENT)
    text = shown(alignment_views.aligned_text_views(found), 80)
    assert text.startswith(f"{len(found.tokens)} vectors")
    assert f"{len(found.tokens) - 14} more" in text
    assert re.search(rf"^ *{len(found.tokens) - 1} +\[SEP\] ", text, re.MULTILINE)
    assert "The text: " in text
    short = shown(alignment_views.aligned_text_views(embedder.explain_text("the cat")), 80)
    assert ("more" in short, "skipped, which" in short) == (False, False)


def test_a_document_without_vectors(tmp_path):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", mask={"keep_only_token_ids": [0]}))
    text = shown(alignment_views.alignment_views(task.explain("the cat", "a dog")), 80)
    assert "One of the texts has no vectors." in text
