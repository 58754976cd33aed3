"""The page of a score of sparse vectors in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import re

import pytest

from pellucid import SparseEmbedder
from pellucid.explain.render.html import page as html_of
from tests import browser as browsers
from tests import tiny
from tests.browser import EVIL, PHONE, WIDE, fits

pytestmark = browsers.needed()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> SparseEmbedder:
    folder = tmp_path_factory.mktemp("models") / "m"
    return SparseEmbedder(tiny.write_splade_model(folder, pooling_strategy="max"), on_truncation="cut")


def numbers(cells):
    return [float(text) for text in cells]


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_a_score_is_drawn(show, embedder, viewport, scheme):
    found = embedder.explain("the cat", "a dog sat on the mat")
    opened = show(html_of(found), viewport=viewport, scheme=scheme)
    assert opened.title().startswith("the cat and a dog sat")
    assert opened.locator("h1").inner_text() == f"score {found.score:.4f}"
    rows = opened.locator("#matches tbody tr")
    shown = found.matches[:40]
    assert rows.locator("th").all_inner_texts() == [match.piece for match in shown]
    adds = numbers(rows.locator("td:last-child").all_inner_texts())
    assert adds == pytest.approx([match.product for match in shown], abs=0.51e-3)
    chips = opened.locator("#tokens .chip[role=option]")
    assert chips.all_inner_texts() == [token.piece for token in (*found.query.tokens, *found.document.tokens)]
    readout = opened.locator("#tokens .readout").nth(1)
    for index in range(len(found.document.tokens)):
        chips.nth(len(found.query.tokens) + index).focus()
        expected = sum(match.product for match in found.matches if match.in_document.raised_by == index)
        assert float(readout.inner_text().split(" ", 1)[0]) == pytest.approx(expected, abs=0.51e-3)
        raises = any(match.in_document.raised_by == index for match in found.matches)
        assert ("raises no term in common" in readout.inner_text()) == (not raises)
    weights = numbers(opened.locator("#terms tbody td:last-child").all_inner_texts())
    assert weights == pytest.approx(
        [term.weight for text in (found.query, found.document) for term in text.terms[:40]], abs=0.51e-3
    )
    assert fits(opened)


def test_hostile_and_empty_texts(show, embedder):
    for query, document in ((EVIL, EVIL), ("", "cat " * 90)):
        opened = show(html_of(embedder.explain(query, document)))
        assert re.match(r"score \d", opened.locator("h1").inner_text())
        assert fits(opened)
    assert "tokens of the document were cut off" in opened.locator("header").inner_text()
