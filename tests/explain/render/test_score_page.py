"""The page of a score in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pellucid import Reranker
from pellucid.explain import score as scores
from pellucid.explain.render.html import page as html_of
from tests import browser as browsers
from tests import tiny
from tests.browser import EVIL, PHONE, WIDE, fits, hover_cell, number

pytestmark = browsers.needed()


@pytest.fixture(scope="module")
def reranker(tmp_path_factory) -> Reranker:
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m"))


def changes_at_start(texts):
    return [float(re.match(r"[-+][\d.]+", text)[0]) for text in texts]


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_a_score_is_drawn(show, reranker, viewport, scheme):
    found = reranker.explain("the cat", "a dog sat. The matting, a cat!")
    opened = show(html_of(found), viewport=viewport, scheme=scheme)
    assert opened.title().startswith("the cat and a dog sat.")
    assert opened.locator("h1").inner_text() == f"score {found.score:.4f}"
    assert opened.locator(".verdict").inner_text() == re.sub("[“”]", "", found.sentence)
    passages = opened.locator(".passage")
    assert passages.all_inner_texts() == [found.query.text, found.document.text]
    words = passages.nth(1).locator(".word")
    assert words.all_inner_texts() == [word.text for word in found.document.words]
    readout = opened.locator("#words .readout").nth(1)
    for index, change in enumerate(found.document_changes.words.tolist()):
        words.nth(index).hover()
        name, shown, logit = re.fullmatch(
            r"(.+): (\S+) · without it, the logit is (\S+)", readout.inner_text()
        ).groups()
        assert name == found.document.words[index].text
        assert (float(shown), float(logit)) == pytest.approx((change, found.logit - change), abs=0.51e-3)
    opened.mouse.move(0, 0)
    words.nth(0).focus()
    opened.keyboard.press("End")
    assert opened.locator("#words [aria-selected=true]").all_inner_texts()[1] == "!"
    opened.keyboard.press("ArrowLeft")
    assert readout.inner_text().startswith("cat: ")
    rows = opened.locator(".sentences li")
    np.testing.assert_allclose(
        changes_at_start(rows.all_inner_texts()), found.document_changes.sentences, rtol=0, atol=0.51e-3
    )
    chips = opened.locator("#tokens .chip[role=option]")
    assert chips.all_inner_texts() == [token.piece for token in (*found.query.tokens, *found.document.tokens)]
    chips.nth(1).hover()
    (shown,) = changes_at_start([opened.locator("#tokens .readout").first.inner_text()])
    assert shown == pytest.approx(found.query_changes.tokens[1], abs=0.51e-3)
    assert "They do not add up to the score" in opened.locator("#words .sentence").inner_text()
    assert "It shows what was read, not what counted" in opened.locator("#attention .sentence").inner_text()
    assert fits(opened)


def test_attention_is_shown_by_direction_and_layer(show, reranker):
    found = reranker.explain("the cat", "a dog sat")
    opened = show(html_of(found))
    maps = opened.locator("#attention .map")
    slider = opened.locator("#layer")
    for direction, attention in ((0, found.query_attention), (1, found.document_attention)):
        opened.locator("#attention input[type=radio]").nth(direction).check()
        assert [maps.nth(k).is_visible() for k in (0, 1)] == [direction == 0, direction == 1]
        for layer in (0, 1, len(attention)):
            slider.fill(str(layer))
            expected = attention[layer - 1] if layer else attention.mean(axis=0)
            hover_cell(maps.nth(direction), 1, 0, expected.shape)
            shown = maps.nth(direction).locator(".readout").inner_text()
            assert number(shown) == pytest.approx(expected[1, 0], abs=0.51e-4)
            assert shown.startswith(["cat → a: ", "dog → the: "][direction])
            opened.mouse.move(0, 0)
            opened.locator("h1").hover()
        assert opened.locator("#attention output[for=layer]").inner_text() == "layer 3 of 3"
        slider.fill("0")


@pytest.mark.parametrize("pair", [("", ""), ("", "the cat"), ("!?", "…"), (EVIL, "z" * 10_000), ("قطة", "كلب. قطة 😀")])
def test_any_pair_is_drawn(show, reranker, pair):
    found = reranker.explain(*pair)
    opened = show(html_of(found), viewport=PHONE)
    assert opened.locator("h1").inner_text() == f"score {found.score:.4f}"
    assert opened.locator("#words .passage").all_inner_texts() == [text for text in pair if text]
    assert fits(opened)


def test_what_was_cut_is_struck_through(show, reranker):
    found = reranker.explain("the cat", "a dog sat on the mat. " * 10)
    opened = show(html_of(found))
    struck = opened.locator("#words s").inner_text()
    assert struck == found.document.text[found.document.words[-1].end :]
    assert "its end was cut off" in opened.locator("header .note").inner_text()


def test_a_pair_that_takes_too_long_says_what_is_missing(show, reranker, monkeypatch):
    monkeypatch.setattr(scores, "token_limit", lambda *_: 0)
    monkeypatch.setattr(scores, "MAX_ATTENTION_BYTES", 0)
    found = reranker.explain("the cat", "a dog sat. A cat.")
    opened = show(html_of(found))
    assert opened.locator("header .note").inner_text() == found.left_out
    assert opened.locator("#words .word").count() == len(found.query.words) + len(found.document.words)
    assert opened.locator("#sentences, #strongest").count() == 0
    assert opened.locator("#attention .note").inner_text() == "There is no attention to show."
