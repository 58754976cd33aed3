from __future__ import annotations

import re

import pytest

from pellucid import SparseEmbedder
from pellucid.cli.sparse_views import sparse_score_views, sparse_text_views
from tests import tiny
from tests.cli.test_explain_views import shown


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> SparseEmbedder:
    folder = tmp_path_factory.mktemp("splade") / "m"
    return SparseEmbedder(tiny.write_splade_model(folder, prompts={"query": "the "}))


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_score_fits_the_terminal_and_no_number_is_cut(embedder, width):
    found = embedder.explain("the cat", "a dog sat. The cat sat, on the mat! " * 9)
    text = shown(sparse_score_views(found), width)
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"[\d.]…", text)
    assert text.startswith(f"score {found.score:.4f}")
    for match in found.matches[:15]:
        assert f"{match.product:.3f}" in text
    for note in ("and ", "The query was read after the prompt 'the '.", "tokens of the document were cut off."):
        assert note in text
    rest = sum(match.product for match in found.matches[15:])
    assert f"which add {rest:.3f}" in text


def test_a_text_shows_its_heaviest_terms(embedder):
    found = embedder.explain_text("the cat \x1b[31m")
    text = shown(sparse_text_views(found), 80)
    assert text.startswith(f"{len(found.terms)} terms")
    assert "\x1b" not in text
    for term in found.terms[:12]:
        assert re.search(rf"^ *{term.weight:.3f} +█+ +{re.escape(term.piece)} ", text, flags=re.MULTILINE)
    assert f"and {len(found.terms) - 12} lighter terms" in text
