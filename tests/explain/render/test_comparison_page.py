"""The page of two texts in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.explain.render.html import page as html_of
from pellucid.explain.words import word_pairs
from tests import browser as browsers
from tests import tiny
from tests.browser import EVIL, PHONE, WIDE, fits, hover_cell, number

pytestmark = browsers.needed()


def marked(opened):
    return opened.locator("blockquote mark").all_inner_texts()


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_a_comparison_is_drawn(show, embedder, viewport, scheme):
    comparison = embedder.compare("the cat sat", "a dog on the mat")
    opened = show(html_of(comparison), viewport=viewport, scheme=scheme)
    assert opened.locator("h1").inner_text() == f"cosine {comparison.cosine:.4f}"
    assert opened.locator("blockquote").all_inner_texts() == ["the cat sat", "a dog on the mat"]
    assert opened.locator(".verdict").inner_text() == re.sub("[“”]", "", comparison.sentence)
    readout, (n, m) = opened.locator("#pairs .readout"), comparison.pairs.shape
    first, second = ([token.piece for token in side.tokens] for side in (comparison.first, comparison.second))
    assert opened.locator("#pairs .rows span").all_inner_texts() == [*first[1:-1], "frame"]
    assert opened.locator("#pairs .columns span").all_inner_texts() == [*second[1:-1], "frame"]

    def says(i, j, value=None):
        names = [first[i], second[j]] if value is None else [i, j]
        text = readout.inner_text()
        assert text.startswith(f"{names[0]} × {names[1]}: ")
        assert number(text) == pytest.approx(comparison.pairs[i, j] if value is None else value, abs=0.51e-3)

    hover_cell(opened.locator("#pairs"), 1, 0, (n - 1, m - 1))
    says(2, 1)
    assert marked(opened) == ["cat", "a"]
    opened.mouse.move(0, 0)
    opened.locator("#pairs .box").focus()
    opened.keyboard.press("ArrowRight")
    says(2, 2)
    assert opened.locator(".chip[aria-selected=true]").all_inner_texts() == ["cat", "dog"]
    opened.keyboard.press("End")
    says("cat", "frame", comparison.pairs[2, [0, -1]].sum())
    opened.keyboard.press("Control+End")
    says("frame", "frame", comparison.pairs[np.ix_([0, -1], [0, -1])].sum())
    assert marked(opened) == []
    opened.locator("#text-2 .chip[role=option]").nth(4).focus()
    shown = opened.locator("#text-2 .readout").inner_text()
    assert float(re.match(r"adds ([-+][\d.]+) · ", shown)[1]) == pytest.approx(comparison.second_shares[4], abs=0.51e-3)
    says("frame", second[4], comparison.pairs[[0, -1], 4].sum())
    tables = opened.locator("#shares table")
    for table, shares in ((tables.nth(0), comparison.first_shares), (tables.nth(1), comparison.second_shares)):
        cells = table.locator("tbody td:last-child").all_inner_texts()
        np.testing.assert_allclose([float(cell) for cell in cells], shares, rtol=0, atol=0.51e-3)
    assert fits(opened)


def test_the_frame_opens_and_folds_and_the_chosen_pair_stays(show, embedder):
    comparison = embedder.compare("the cat sat", "a dog")
    opened = show(html_of(comparison))
    opened.locator("#text-1 .chip[role=option]").nth(2).focus()
    opened.locator("#text-2 .chip[role=option]").nth(1).focus()
    readout = opened.locator("#pairs .readout")
    before = readout.inner_text()
    assert before.startswith("cat × a: ")
    opened.get_by_role("button", name="Open the frame").press("Enter")
    assert opened.locator("#pairs .rows span").all_inner_texts() == [token.piece for token in comparison.first.tokens]
    assert readout.inner_text() == before
    hover_cell(opened.locator("#pairs"), 0, 3, (5, 4))
    assert readout.inner_text().startswith("[CLS] × [SEP]: ")
    assert number(readout.inner_text()) == pytest.approx(comparison.pairs[0, 3], abs=0.51e-3)
    button = opened.get_by_role("button", name="Fold the frame")
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert readout.inner_text().startswith("frame × frame: ")
    assert opened.evaluate("document.activeElement.textContent") == "Open the frame", "the focus stays on the button"


def test_the_strongest_pair_of_words_is_chosen_at_the_start(show, minilm):
    comparison = minilm.compare("How do I reset my password?", "I forgot my login credentials")
    opened = show(html_of(comparison))
    pairs = word_pairs(comparison, 3)
    assert pairs[0][:2] == ("password", "credentials")
    rows = [text.split() for text in opened.locator("ol.pairs li").all_inner_texts()]
    for row, (first, second, share) in zip(rows, pairs, strict=False):
        assert (row[0], row[2]) == (first, second)
        assert float(row[3]) == pytest.approx(share, abs=0.51e-4)
        assert row[4] == f"{share / comparison.cosine:.0%}"
    assert marked(opened) == ["password", "credentials"]
    assert opened.locator("ol.pairs [aria-current=true]").inner_text().startswith("password × credentials")
    assert sorted(opened.locator("#pairs .on").all_inner_texts()) == ["credentials", "password"]
    assert opened.locator(".chip[aria-selected=true]").all_inner_texts() == ["password", "credentials"]
    opened.locator("ol.pairs button", has_text="login").first.click()
    assert marked(opened) == ["password", "login"], "the whole word is marked, of which the map shows the pieces"
    hover_cell(opened.locator("#pairs"), 4, 2, (8, 7))
    assert opened.locator("ol.pairs [aria-current=true]").inner_text().startswith("my × my")


def test_a_word_far_into_a_long_text_is_marked_where_it_can_be_seen(show, embedder):
    text = "the cat sat on a mat " * 3
    opened = show(html_of(embedder.compare(f"{'z' * 200} {text}", "a dog")), viewport=PHONE)
    opened.locator("#text-1 .chip[role=option]").nth(12).focus()
    quote = opened.locator("blockquote").first
    assert quote.inner_text().startswith("…")
    edge = quote.bounding_box()
    mark = quote.locator("mark").bounding_box()
    assert mark["y"] + mark["height"] <= edge["y"] + edge["height"] + 2


@pytest.mark.parametrize(
    "texts", [("", ""), ("", "the cat"), ("the cat", "the cat"), ("!?", "…"), (EVIL, "z" * 10_000)]
)
def test_any_texts_are_compared(show, embedder, texts):
    comparison = embedder.compare(*texts)
    opened = show(html_of(comparison), viewport=PHONE)
    assert opened.locator(".verdict").inner_text() == re.sub("[“”]", "", comparison.sentence)
    assert fits(opened)


def test_a_comparison_without_pairs_gives_its_reason(show, tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", pooling={"pooling_mode_cls_token": True}))
    comparison = embedder.compare("the cat", "a dog")
    opened = show(html_of(comparison))
    assert opened.locator("#pairs").count() == 0
    assert opened.locator(".verdict").inner_text() != ""
    assert comparison.why_no_pairs in opened.locator("#shares .sentence").inner_text()
    assert opened.locator("#shares tbody tr").count() == len(comparison.first.tokens) + len(comparison.second.tokens)
    opened = show(html_of(comparison.first))
    assert comparison.first.why_no_shares in opened.locator("#pooling .note").inner_text()
