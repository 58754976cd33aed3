from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid import Embedder
from pellucid.errors import MissingExtraError, OptionError
from pellucid.explain.text_map import pca, text_map
from tests import tiny

NUMBERS = st.floats(-100, 100, width=32)
VECTORS = st.integers(0, 12).flatmap(lambda n: arrays(np.float32, (n, 4), elements=NUMBERS))
# Four each of animals, money, accounts, cooking and space.
TOPICS = [
    "The cat sat on the mat",
    "A kitten is sleeping on the rug",
    "My dog barks at the postman",
    "Puppies need a lot of exercise",
    "The stock market fell sharply today",
    "Interest rates were raised by the central bank",
    "Investors are worried about inflation",
    "Bond yields climbed to a new high",
    "How do I reset my password?",
    "I forgot my login credentials",
    "The account is locked after three attempts",
    "Two-factor authentication keeps accounts safe",
    "Stir the onions until they are golden",
    "Bake the bread for forty minutes",
    "Add a pinch of salt to the soup",
    "The sauce should simmer for an hour",
    "The telescope discovered a distant galaxy",
    "Astronauts repaired the space station",
    "Mars has two small moons",
    "A comet passed close to the sun",
]
TEXTS = ["the cat sat", "a cat sat on the mat", "dog dog dog", "the dog", "zzz", "zzz zzz"]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"))


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


class TestPca:
    @given(VECTORS)
    def test_positions_are_finite_and_the_variance_is_a_share(self, vectors):
        plane, explained_variance = pca(vectors)
        assert plane.shape == (len(vectors), 2)
        assert np.isfinite(plane).all()
        assert 0 <= explained_variance <= 1 + 1e-9

    @given(arrays(np.float32, (7, 2), elements=st.integers(-20, 20).map(float)), st.integers(0, 5))
    def test_vectors_in_a_plane_keep_their_distances_whatever_its_direction(self, flat, seed):
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
        lying = (np.pad(flat, ((0, 0), (0, 4))) @ turn + 3).astype(np.float32)
        plane, explained_variance = pca(lying)
        np.testing.assert_allclose(distances(plane), distances(flat), atol=1e-3)
        assert explained_variance == pytest.approx(1, abs=1e-6)

    @given(arrays(np.float32, (6, 4), elements=st.integers(-20, 20).map(float)))
    def test_the_first_direction_varies_most(self, vectors):
        plane, _ = pca(vectors)
        assert plane[:, 0].var() >= plane[:, 1].var() - 1e-6


def test_texts_have_positions_colours_and_cosines(embedder):
    found = text_map(embedder.encoder, TEXTS)
    vectors = embedder.embed_documents(TEXTS)
    assert found.plane.shape == (6, 2)
    for label, text in zip(found.labels, TEXTS, strict=True):
        name, _, words = label.partition(": ")
        assert name in {f"cluster {number}" for number in range(1, 6)}
        members = [other for other, given in zip(TEXTS, found.labels, strict=True) if given == label]
        assert text in members
        assert all(any(word in member for member in members) for word in words.split(", "))
    np.testing.assert_allclose(found.similarity, vectors @ vectors.T, atol=1e-6)
    assert sorted(found.order().tolist()) == list(range(6))
    assert f"{found.explained_variance:.0%}" in found.sentence
    assert f"{len(set(found.labels))} fit best" in found.colour_sentence


def test_texts_that_are_too_long_for_the_model_are_marked_as_cut(embedder):
    embedder = Embedder(embedder.files.folder, on_truncation="ignore")
    found = text_map(embedder.encoder, ["the cat", "cat " * tiny.MAX_TOKENS, "cat " * (tiny.MAX_TOKENS - 2)])
    assert found.cut == {1}
    assert found.max_tokens == tiny.MAX_TOKENS


def test_given_labels_decide_the_colours(embedder):
    labels = ["b", "a", "b", "a", "b", "a"]
    found = text_map(embedder.encoder, TEXTS, labels=labels)
    assert found.labels == tuple(labels)
    assert [labels[place] for place in found.order()] == ["a"] * 3 + ["b"] * 3
    assert found.colour_sentence == "The colours show the given labels."


def test_labels_are_sorted_as_people_expect(embedder):
    labels = ["10", "2 b", "2 a", "x10", "", "x9"]
    assert text_map(embedder.encoder, TEXTS, labels=labels).distinct_labels == ("", "2 a", "2 b", "10", "x9", "x10")


@pytest.mark.parametrize("texts", [[], ["a cat"], ["a cat"] * 3])
def test_a_map_can_have_few_texts(embedder, texts, tmp_path):
    found = text_map(embedder.encoder, texts)
    assert np.isfinite(found.plane).all()
    found.save(tmp_path / "x.html")
    assert (tmp_path / "x.html").stat().st_size > 1000


def data_of(page):
    (data,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    return data, json.loads(data)


def test_the_page_has_the_texts_as_data_and_never_as_tags(embedder, tmp_path):
    nasty = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a & b \u2028 {{script}} {{data}}"]
    text_map(embedder.encoder, nasty, labels=["<b>", "x", "{{style}}"]).save(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    raw, data = data_of(page)
    assert page.count("</script") == 3
    assert not re.search(r"[<>&\u2028]", raw)
    assert sorted(data["texts"]) == sorted(nasty)
    assert set(data["labels"]) == {"<b>", "x", "{{style}}"}


def test_a_map_of_many_texts_has_no_similarity(embedder, tmp_path):
    found = text_map(embedder.encoder, ["the cat sat", "the dog"] * 200)
    assert found.similarity is None
    found.save(tmp_path / "x.html")
    _, data = data_of((tmp_path / "x.html").read_text(encoding="utf-8"))
    assert data["similarity"] is None
    assert data["plane"]["shape"] == [len(data["texts"]), 2] == [400, 2]


@pytest.mark.parametrize("ending", [".html", ".png"])
def test_a_file_that_cannot_be_written_is_named(embedder, tmp_path, ending):
    with pytest.raises(OptionError, match="missing.* cannot be written"):
        text_map(embedder.encoder, TEXTS).save(tmp_path / "missing" / f"x{ending}")


@pytest.mark.parametrize("texts", [[], ["a cat"], ["a cat", "a cat"], TEXTS, ["the cat sat", "the dog"] * 200])
def test_pictures_are_drawn(embedder, tmp_path, texts):
    found = text_map(embedder.encoder, texts)
    found.save(tmp_path / "x.png")
    found.save(tmp_path / "x.SVG")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "x.SVG").read_text(encoding="utf-8")


def test_any_label_and_text_can_be_drawn(embedder, tmp_path):
    # Mathematics for matplotlib, a label that a legend would leave out, letters that its font lacks, several lines.
    texts = [
        "$\\frac{$",
        "_hidden",
        "\u732b\U0001f600",
        "two\nlines",
        "",
        "word " * 50,
        *(f"cat {n}" for n in range(12)),
    ]
    text_map(embedder.encoder, texts, labels=texts).save(tmp_path / "x.png")
    text_map(embedder.encoder, texts, labels=texts).save(tmp_path / "x.svg")


@pytest.mark.filterwarnings("ignore")  # numba and umap warn.
@pytest.mark.parametrize("texts", [[], ["a cat"], ["a cat"] * 4, TEXTS])
def test_umap_gives_every_text_a_position_that_is_always_the_same(embedder, texts):
    pytest.importorskip("umap", reason="the extra umap is not installed")
    found = text_map(embedder.encoder, texts, method="umap")
    assert found.plane.shape == (len(texts), 2)
    assert np.isfinite(found.plane).all()
    assert (found.method, found.explained_variance) == ("umap", None)
    np.testing.assert_array_equal(text_map(embedder.encoder, texts, method="umap").plane, found.plane)


def test_a_missing_extra_is_named(embedder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[plot\]'"):
        text_map(embedder.encoder, TEXTS).save(tmp_path / "x.png")
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[umap\]'"):
        text_map(embedder.encoder, TEXTS, method="umap")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, _: text_map(e.encoder, TEXTS, method="tsne"), "method='tsne'"),
        (lambda e, _: text_map(e.encoder, TEXTS, labels=["a"]), "there is 1 label for 6 texts"),
        (lambda e, folder: text_map(e.encoder, TEXTS).save(folder / "x.gif"), "must end in .html, .png, .svg"),
    ],
)
def test_wrong_calls_are_refused(embedder, tmp_path, call, message):
    with pytest.raises(OptionError, match=message):
        call(embedder, tmp_path)


def test_more_texts_than_a_map_can_show_are_refused_before_any_work(embedder, monkeypatch):
    monkeypatch.setattr("pellucid.explain.text_map.MAX_TEXTS", 3)
    assert len(text_map(embedder.encoder, TOPICS[:3]).texts) == 3
    monkeypatch.setattr(Embedder, "embed_documents", None)
    with pytest.raises(OptionError, match="there are 4 texts, and a map shows at most 3"):
        text_map(embedder.encoder, TOPICS[:4])
