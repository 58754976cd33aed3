from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from pellucid import Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder
from pellucid.explain.render import notebook
from pellucid.explain.render.notebook import MAX_DOTS, MAX_LABELS, MAX_WORDS, fragment
from pellucid.explain.sentence import pairs_without_marks
from pellucid.explain.text_map import text_map
from pellucid.explain.words import word_shares
from tests import tiny
from tests.browser import EVIL
from tests.multi_vector_models import FIXED, write_model

TAGS = {"bdi", "code", "div", "small", "span", "strong", "table", "td", "th", "tr"} | {
    *("circle", "polyline", "svg", "title")
}
ATTRIBUTES = {"aria-label", "colspan", "style"} | {
    *("cx", "cy", "fill", "height", "points", "r", "role", "stroke", "stroke-width", "viewbox", "width", "xmlns")
}
LONG = "the cat sat on the mat, and a dog looked at the cat. " * 50
HOSTILE = f"{EVIL} \x1b[31m \u202e\ud800 ' onmouseover='x"


class Parsed(HTMLParser):
    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in {"circle", "polyline"} or not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1], data))

    @property
    def text(self) -> str:
        return "".join(data for _, data in self.texts)

    def inside(self, tag: str) -> list[str]:
        return [data for name, data in self.texts if name == tag]


def parse(subject) -> Parsed:
    parsed = Parsed(subject._repr_html_())
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


@pytest.fixture(scope="module")
def cls_embedder(tmp_path_factory):
    """Its cosines are not sums over pairs of tokens."""
    folder = tmp_path_factory.mktemp("models") / "cls"
    return Embedder(tiny.write_model(folder, pooling={"pooling_mode_cls_token": True}), on_truncation="ignore")


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "reranker", max_tokens=24))


def subjects(embedder, text):
    return (
        embedder.trace(text),
        embedder.compare(text, "a cat"),
        embedder.compare("", text),
        text_map(embedder.encoder, [text, "a cat"], labels=[text, "x"]),
        text_map(embedder.encoder, [text] * 300),
    )


@pytest.mark.parametrize("text", ["the cat", "", LONG, HOSTILE], ids=["short", "empty", "long", "hostile"])
def test_a_picture_is_small_and_has_only_harmless_tags(embedder, cls_embedder, reranker, text):
    text = text.replace("\ud800", "")  # No tokenizer takes half a character.
    scores = [reranker.explain(*pair, prompt=prompt) for pair in ((text, text), ("", text)) for prompt in ("", text)]
    for subject in (*subjects(embedder, text), *subjects(cls_embedder, text), *scores):
        parsed = parse(subject)
        assert set(parsed.tags) <= TAGS
        assert parsed.attributes <= ATTRIBUTES
        assert len(subject._repr_html_()) < 40_000
        assert parsed.text.replace("\u200d", "").isprintable()


def test_every_text_is_shown_as_it_is(embedder, reranker):
    text = "<b>the</b> cat & 'a' \"dog\""
    assert text in parse(embedder.trace(text)).text
    assert text in parse(embedder.compare("a", text)).text
    assert "“<b>the cat”" in parse(reranker.explain("a", "a", prompt="<b>the cat")).text
    found = parse(text_map(embedder.encoder, [text, "a cat"], labels=["<i>", "x"]))
    assert found.inside("title")[0] == text
    assert "<i> (1)" in found.text


def test_a_comparison_shows_the_cosine_the_sentence_and_the_words(embedder):
    comparison = embedder.compare("the cat sat", "a cat")
    parsed = parse(comparison)
    assert f"cosine {comparison.cosine:.4f}" in parsed.text
    assert comparison.sentence in parsed.text
    shares = word_shares(comparison).shares
    cells = parsed.inside("td")
    shown = [float(cell.replace("−", "-")) for cell in cells[: shares.size]]
    assert shown == [pytest.approx(share, abs=0.51e-3) for share in shares.ravel()]
    first, second, share = pairs_without_marks(word_shares(comparison), 1)[0]
    assert f"{first}{second}{share:+.4f}" in parsed.text
    assert 'save_html("comparison.html") writes a page' in parsed.text


def test_a_long_comparison_shows_the_words_whose_best_pair_adds_most(embedder):
    comparison = embedder.compare("the cat sat on the mat, and a dog looked", "dog " * 10 + "mat sat")
    shares = word_shares(comparison)
    parsed = parse(comparison)
    rows = parsed.tags.count("tr") - 1 - len(pairs_without_marks(word_shares(comparison), 6)) - 1
    assert len(shares.second) > MAX_WORDS
    assert rows == min(MAX_WORDS, len(shares.first))
    assert f"the {MAX_WORDS} words whose best pair adds most" in parsed.text


def test_without_pairs_a_comparison_shows_what_each_token_is_worth(cls_embedder):
    comparison = cls_embedder.compare("the cat", "a cat")
    parsed = parse(comparison)
    falls = [*comparison.first_shares, *comparison.second_shares]
    assert [float(text) for text in parsed.inside("small")] == [pytest.approx(fall, abs=0.51e-3) for fall in falls]
    assert "how much the cosine falls without it" in parsed.text


def test_a_trace_shows_tokens_shares_drift_and_numbers(embedder):
    trace = embedder.trace("the cat", prompt="a dog ")
    parsed = parse(trace)
    pieces = [token.piece for token in trace.tokens]
    assert [text for text in parsed.inside("code") if text in pieces] == pieces
    shares = [float(text.rstrip("%")) / 100 for text in parsed.inside("small")]
    assert shares == [pytest.approx(share, abs=0.51e-3) for share in trace.shares]
    assert f"{trace.drift()[-1].mean():.2f} after layer {len(trace.layers)}" in parsed.text
    assert f"[{trace.vector[0]:+.4f}, " in parsed.text
    assert f"after the prompt “{'a dog'}”" in parsed.text


def test_a_trace_says_what_it_leaves_out(embedder, cls_embedder, monkeypatch):
    monkeypatch.setattr(notebook, "MAX_TOKENS", 10)
    trace = embedder.trace(LONG)
    parsed = parse(trace)
    assert len(parsed.inside("small")) == 10 < len(trace.tokens)
    assert f"{len(trace.tokens) - 10} more tokens not shown" in parsed.text
    assert f"too long: the model read {len(trace.tokens)} tokens of it" in parsed.text
    without_shares = cls_embedder.trace("the cat")
    assert without_shares.why_no_shares in parse(without_shares).text


def test_a_map_has_a_dot_for_each_text_and_a_line_for_each_label(embedder):
    texts = ["the cat", "a dog", "a cat and a dog"]
    parsed = parse(text_map(embedder.encoder, texts, labels=["x", "y", "y"]))
    assert parsed.tags.count("circle") == 3
    assert parsed.inside("title") == texts
    assert "x (1)" in parsed.text
    assert "y (2)" in parsed.text
    many = parse(text_map(embedder.encoder, ["the cat"] * 500, labels=[f"label {n % 20}" for n in range(500)]))
    assert many.tags.count("circle") == MAX_DOTS
    assert f"only the first {MAX_DOTS} texts" in many.text
    assert f"{20 - MAX_LABELS} more labels" in many.text


def test_the_fragment_is_what_a_notebook_shows(embedder):
    for subject in subjects(embedder, "the cat"):
        assert fragment(subject) == subject._repr_html_()


def test_a_score_shows_the_sentence_and_both_texts_with_coloured_words(reranker):
    found = reranker.explain("the cat", "a dog, a  cat!")
    parsed = parse(found)
    assert f"score {found.score:.4f}" in parsed.text
    assert f"logit {found.logit:+.3f}, reranker" in parsed.text
    assert found.sentence in parsed.text
    assert "The querythe catThe documenta dog, a cat!" in parsed.text
    strongest = max(abs(found.query_changes.words).max(), abs(found.document_changes.words).max())
    opacities = re.findall(r"rgba\(([\d,]+),([\d.]+)\)", found._repr_html_())
    expected = [*found.query_changes.words, *found.document_changes.words]
    for (colour, opacity), change in zip(opacities, expected, strict=True):
        assert float(opacity) == pytest.approx(0.7 * abs(change) / strongest, abs=0.51e-2)
        assert (colour == "40,150,190") == (change >= 0)
    assert "they do not add up to the score" in parsed.text
    assert 'save_html("score.html") writes a page' in parsed.text


def test_a_score_of_a_long_text_shows_its_first_words(reranker, monkeypatch):
    monkeypatch.setattr(notebook, "MAX_PASSAGE_WORDS", 3)
    parsed = parse(reranker.explain("the cat", LONG))
    assert "the cat sat … and " in parsed.text
    assert "of the document: its end was cut off." in parsed.text


def test_a_score_of_sparse_vectors_shows_its_terms(tmp_path):
    embedder = SparseEmbedder(tiny.write_splade_model(tmp_path / "m"))
    found = embedder.explain("the <b>cat</b>", "a dog sat")
    parsed = parse(found)
    assert f"score {found.score:.4f}" in parsed.text
    for match in found.matches[:8]:
        assert f"{match.product:.4f}" in parsed.text
    assert f"Not shown: {len(found.matches) - 8} terms that together add" in parsed.text
    assert "They add up to the score." in parsed.text


def test_an_alignment_shows_what_each_token_found(tmp_path, monkeypatch):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", expansion=FIXED))
    found = task.explain("the <b>cat</b>", "a dog, the cat sat!")
    parsed = parse(found)
    assert f"score {found.score:.4f}" in parsed.text
    matched = sorted(set(found.matches.tolist()))
    shown = found.similarities[:, matched]
    bold = [f"{found.parts[row]:.3f}".replace("0.", ".", 1) for row in range(len(found.parts))]
    assert parsed.inside("strong")[1:] == bold
    opacities = [float(opacity) for opacity in re.findall(r"rgba\([\d,]+,([\d.]+)\)", found._repr_html_())]
    expected = 0.7 * abs(shown) / abs(found.parts).max()
    assert opacities == pytest.approx(expected.ravel().tolist(), abs=0.51e-2)
    for part in found.parts.tolist():
        assert f"{part:.4f}" in parsed.text
    assert 'save_html("alignment.html") writes a page' in parsed.text
    monkeypatch.setattr(notebook, "MAX_ROWS", 5)
    monkeypatch.setattr(notebook, "MAX_COLUMNS", 1)
    parsed = parse(found)
    assert f"7 tokens of the query that together add {found.parts[5:].sum():.4f}" in parsed.text
    assert "the 1 that add most" in parsed.text


def test_an_alignment_without_vectors_says_so(tmp_path):
    task = MultiVectorEmbedder(write_model(tmp_path / "m", mask={"keep_only_token_ids": [0]}))
    parsed = parse(task.explain("the cat", "a dog"))
    assert ("One of the texts has no vectors." in parsed.text, "table" in parsed.tags) == (True, False)
