"""The page of an alignment in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder
from pellucid.explain.alignment import Alignment
from pellucid.explain.render.html import page as html_of
from tests import browser as browsers
from tests.browser import EVIL, PHONE, WIDE, fits, hover_cell
from tests.multi_vector_models import FIXED, write_model

pytestmark = browsers.needed()
DOCUMENT = "a dog sat, the cat. on the mat!"


def repeated(found: Alignment, times: int) -> Alignment:
    """The alignment with a document in which the text occurs several times. Each token is found where it is first."""
    text, tokens = found.document.text, found.document.tokens
    moved = [
        dataclasses.replace(token, start=token.start + k * len(text), end=token.end + k * len(text))
        for k in range(times)
        for token in tokens
    ]
    document = dataclasses.replace(found.document, text=text * times, tokens=tuple(moved))
    return dataclasses.replace(found, document=document, similarities=np.tile(found.similarities, times))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> MultiVectorEmbedder:
    folder = tmp_path_factory.mktemp("models") / "m"
    return MultiVectorEmbedder(write_model(folder, expansion=FIXED, prompts={"query": "a "}), on_truncation="cut")


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_what_each_token_found(show, embedder, viewport, scheme):
    found = embedder.explain("the cat", DOCUMENT)
    opened = show(html_of(found), viewport=viewport, scheme=scheme)
    assert opened.title().startswith("the cat and a dog sat")
    assert opened.locator("h1").inner_text() == f"score {found.score:.4f}"
    rows = opened.locator("#found tbody tr")
    names = rows.locator("th").all_inner_texts()
    assert [name.split()[0] for name in names] == [token.piece for token in found.query.tokens]
    assert [name.endswith("fills up the query") for name in names] == [
        row >= len(names) - found.query.expansion for row in range(len(names))
    ]
    adds = [float(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
    assert adds == pytest.approx(found.parts.tolist(), abs=0.51e-3)
    expected = [found.document.tokens[match] for match in found.matches.tolist()]
    assert rows.locator(".found").all_inner_texts() == [token.piece for token in expected]
    marked = rows.locator("mark").all_text_contents()
    assert marked == [found.document.words(token) for token in expected if token.start < token.end]
    assert float(opened.locator("#found tfoot td:nth-child(3)").inner_text()) == pytest.approx(found.score, abs=0.51e-3)
    assert opened.locator("#found table").get_by_role("columnheader").count() >= 4
    assert "After the prompt a" in opened.locator("#found").inner_text()
    assert fits(opened)


def test_the_document_shows_where_its_tokens_were_found(show, embedder):
    found = embedder.explain("the cat", DOCUMENT)
    opened = show(html_of(found))
    inside = [position for position, token in enumerate(found.document.tokens) if token.kind != "special"]
    words = opened.locator("#document .passage .word")
    assert words.all_inner_texts() == [found.document.words(found.document.tokens[position]) for position in inside]
    assert opened.locator("#document .passage").inner_text() == DOCUMENT
    readout = opened.locator("#document .readout").first
    for number, position in enumerate(inside):
        words.nth(number).hover()
        finders = [row for row, match in enumerate(found.matches.tolist()) if match == position]
        said = readout.inner_text()
        if finders:
            assert float(re.search(r": ([+-][\d.]+)", said)[1]) == pytest.approx(
                found.document_parts[position], abs=0.51e-3
            )
            numbers = [float(number) for number in re.findall(r" (-?\d\.\d+)", said.split("found by")[1])]
            assert numbers == pytest.approx(sorted(found.parts[finders].tolist())[:-4:-1], abs=0.51e-3)
            assert said.endswith(f" and {len(finders) - 3} more") == (len(finders) > 3)
        else:
            assert "no token of the query found it" in said
        tint = words.nth(number).evaluate("word => getComputedStyle(word).backgroundColor")
        assert tint.endswith(" 0)") != bool(finders)
    assert opened.locator("#document .strip .chip[role=option]").all_inner_texts() == ["[CLS]", "[SEP]"]
    skipped = opened.locator("#document .skipped")
    assert "no vector to 3 tokens" in skipped.inner_text()
    assert skipped.locator(".chip").all_inner_texts() == [",", ".", "!"]


def test_a_pair_that_is_chosen_is_marked_everywhere(show, embedder):
    found = embedder.explain("the cat", DOCUMENT)
    opened = show(html_of(found))
    shape = found.similarities.shape
    readout = opened.locator("#similarities .readout")
    for row, column in ((2, 3), (0, shape[1] - 1), (4, int(found.matches[4]))):
        hover_cell(opened.locator("#similarities .map"), row, column, shape)
        number = re.search(r": (-?[\d.]+)", readout.inner_text())[1]
        assert float(number) == pytest.approx(found.similarities[row, column], abs=0.51e-3)
        assert ("the best of its row" in readout.inner_text()) == (found.matches[row] == column)
        assert opened.locator("#found tr.on th").inner_text().split()[0] == found.query.tokens[row].piece
    row = 3
    opened.locator("#found tbody button").nth(row).focus()
    assert "the best of its row" in readout.inner_text()
    chosen = found.document.tokens[found.matches[row]]
    assert opened.locator("#document [aria-selected=true]").all_inner_texts().count(found.document.words(chosen)) >= 1
    marks = opened.locator("#similarities .mark")
    cells = opened.locator("#similarities .cells").bounding_box()
    for row, match in enumerate(found.matches.tolist()):
        box = marks.nth(row).bounding_box()
        assert int((box["x"] + box["width"] / 2 - cells["x"]) / cells["width"] * shape[1]) == match
        assert int((box["y"] + box["height"] / 2 - cells["y"]) / cells["height"] * shape[0]) == row


def test_of_a_long_document_the_map_shows_the_tokens_that_were_found(show, embedder):
    found = repeated(embedder.explain("the cat", DOCUMENT), 6)
    opened = show(html_of(found), viewport=PHONE)
    columns = opened.locator("#similarities .columns span")
    positions = sorted(set(found.matches.tolist()))
    assert columns.all_text_contents() == [found.document.tokens[position].piece for position in positions]
    opened.get_by_role("button", name=f"Show all {len(found.document.tokens)} tokens of the document").click()
    assert columns.count() == len(found.document.tokens)
    opened.get_by_role("button", name="Show only the tokens that were found").click()
    assert columns.count() == len(positions)
    assert fits(opened)


def test_what_was_cut_off_is_shown(show, embedder):
    found = embedder.explain("the cat", DOCUMENT * 9)
    opened = show(html_of(found))
    assert f"did not read {len(found.document.cut)} tokens" in opened.locator("#document").inner_text()
    assert f"{len(found.document.cut)} tokens of the document were cut off" in opened.locator("header").inner_text()
    assert opened.locator("#document .passage s").inner_text().endswith("on the mat!")


def test_hostile_and_empty_texts(show, embedder, tmp_path):
    for query, document in ((EVIL, EVIL), ("", ""), ("the \U0001f600", "\U0001f600\U0001f600 \u05d0\u05d1 cat\n\ncat")):
        opened = show(html_of(embedder.explain(query, document)))
        assert re.match(r"score \d", opened.locator("h1").inner_text())
        assert fits(opened)
    task = MultiVectorEmbedder(write_model(tmp_path / "m", mask={"keep_only_token_ids": [0]}))
    opened = show(html_of(task.explain("the cat", "a dog")))
    assert "One of the texts has no vectors." in opened.locator("header").inner_text()
    assert "no vector to 4 tokens" in opened.locator("#tokens").inner_text()
