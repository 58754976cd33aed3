"""What rerankers and classifiers share."""

from __future__ import annotations

import copy
import pickle
import shutil

import numpy as np
import pytest

from pellucid import Classifier, Embedder, Encoder, Reranker, TruncationWarning
from pellucid.errors import (
    InputError,
    InvalidModelError,
    ModelKindWarning,
    OptionError,
    TextError,
    TextTypeError,
    TruncationError,
    UnsupportedModelError,
)
from pellucid.scoring import check_pairs
from pellucid.sentence_transformers import CrossEncoder
from pellucid.types import TokenBatch
from tests import tiny
from tests.causal_rerankers import LAYOUTS, PAIRS, Layout, prompts_of, write_reranker
from tests.conftest import DATA

SCORES = np.load(DATA / "tiny_scores.npz")
CAUSAL_SCORES = np.load(DATA / "tiny_causal_scores.npz")
"""Those of sentence-transformers."""
ENGINES = ["native", "reference"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "scoring")


@pytest.fixture(scope="module")
def reranker(folder) -> Reranker:
    return Reranker(folder, on_truncation="cut")


@pytest.mark.parametrize("labels", [1, 2, 3])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_frozen_scores(family, tmp_path, engine, labels):
    task = Classifier(tiny.write_scoring_model(tmp_path / "m", family, labels), engine=engine, on_truncation="cut")
    batch, counts = task.tokenize(tiny.PAIRS)
    assert batch.ids.tolist() == SCORES[f"{family}/ids"].tolist()
    assert batch.lengths.tolist() == SCORES[f"{family}/lengths"].tolist()
    assert ((counts > task.max_tokens) <= (batch.lengths == task.max_tokens)).all()
    expected = SCORES[f"{family}/{labels}/scores"].reshape(len(tiny.PAIRS), labels)
    ours = task.probabilities(tiny.PAIRS) if labels == 1 else task.logits(tiny.PAIRS)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_scores_of_decoders(tmp_path, engine, layout):
    ours = CrossEncoder(write_reranker(tmp_path / "m", layout), engine=engine, on_truncation="cut")
    for prompt, options in prompts_of(LAYOUTS[layout]).items():
        expected = CAUSAL_SCORES[f"{layout}/{prompt}"]
        found = ours.predict(PAIRS, **options)
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("layout", ["answers", "parts", "head and padding"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_decoders_score_depends_on_its_pair_alone(tmp_path, engine, layout):
    task = Reranker(write_reranker(tmp_path / "m", layout), engine=engine, on_truncation="cut")
    together = task.score_pairs(PAIRS)
    alone = [task.score_pairs([pair])[0] for pair in PAIRS]
    assert together.tobytes() == np.array(alone).tobytes() == task.score_pairs(PAIRS[::-1])[::-1].tobytes()


def test_a_chat_template_needs_room_for_two_texts(tmp_path):
    folder = write_reranker(tmp_path / "m", "answers")
    least = Reranker(folder, engine="reference").least_tokens
    with pytest.raises(OptionError, match=f"with the chat template if there is one, they have at least {least} tokens"):
        Reranker(folder, engine="reference", max_tokens=least - 1)
    task = Reranker(folder, engine="reference", max_tokens=least)
    tokens, counts = task.tokenize([("q", "d")])
    assert (len(tokens.ids), counts.tolist()) == (least, [least])


def test_a_template_that_takes_no_pairs_is_refused(tmp_path):
    template = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}."
    folder = write_reranker(tmp_path / "m", Layout(template=template, answers=(), has_modules=False))
    with pytest.raises(UnsupportedModelError, match="it leaves out the query and the document.*CrossEncoder"):
        Reranker(folder, engine="reference")
    task = Classifier(folder, engine="reference")
    assert task.logits(["the cat", "a dog"]).shape == (2, 1)
    with pytest.raises(UnsupportedModelError, match="it leaves out the query and the document"):
        task.logits(PAIRS)


@pytest.mark.parametrize("layout", ["answers", "without template"])
def test_a_decoders_documents_can_have_a_limit_of_their_own(tmp_path, layout):
    task = Reranker(write_reranker(tmp_path / "m", layout), engine="reference")
    prepared = task.prepare([("q", "yes no yes no")], "", max_second_tokens=3)
    found, counts = task.join(prepared, task.tokenizer.tokenize_plain(prepared.texts))
    expected, expected_counts = task.tokenize([("q", "yes no")])
    assert len(task.tokenizer.tokenize_plain(["yes no"]).ids) == 3
    assert found.ids.tolist() == expected.ids.tolist()
    assert counts.tolist() == expected_counts.tolist()


@pytest.mark.parametrize("dtype", ["float32", "int16", "int8", "int4"])
def test_a_score_depends_on_its_pair_alone(folder, dtype):
    task = Reranker(folder, dtype=dtype, on_truncation="cut")
    together = task.score_pairs(tiny.PAIRS)
    alone = [task.score_pairs([pair])[0] for pair in tiny.PAIRS]
    backwards = task.score_pairs(tiny.PAIRS[::-1])[::-1]
    assert together.tobytes() == np.array(alone).tobytes() == backwards.tobytes()


def test_integers_stay_close(folder, reranker):
    exact = reranker.score_pairs(tiny.PAIRS)
    for dtype, bound in (("int16", 1e-3), ("int8", 5e-2)):
        scores = Reranker(folder, dtype=dtype, on_truncation="cut").score_pairs(tiny.PAIRS)
        np.testing.assert_allclose(scores, exact, rtol=0, atol=bound)


def test_too_long_pairs_are_cut_with_a_warning_or_refused(folder):
    pairs = [("the cat", "a dog"), ("the cat " * 20, "a dog")]
    with pytest.warns(TruncationWarning, match=r"1 of 2 pairs is longer .* \(the first is pair 1\)"):
        Reranker(folder).score_pairs(pairs)
    with pytest.raises(TruncationError, match="the first is pair 1.*Shorten them"):
        Reranker(folder, on_truncation="error").score_pairs(pairs)


@pytest.mark.parametrize("task", [Reranker, Classifier])
def test_copies_keep_the_options(folder, task):
    more = {"activation": "tanh"} if task is Reranker else {}
    original = task(folder, dtype="int8", threads=1, on_truncation="cut", **more)
    for made in (copy.copy(original), pickle.loads(pickle.dumps(original))):  # noqa: S301  This test made the pickle.
        assert (made.activation, made.on_truncation, made.engine.dtype) == (original.activation, "cut", "int8")
        assert made._logits(tiny.PAIRS, "").tobytes() == original._logits(tiny.PAIRS, "").tobytes()


def test_tasks_may_share_an_encoder(folder):
    encoder = Encoder(folder)
    assert Reranker(encoder).encoder is Classifier(encoder).encoder is encoder


def test_a_model_without_a_head_is_refused(tiny_bert):
    for task in (Reranker, Classifier):
        with pytest.raises(UnsupportedModelError, match="no head that scores or classifies"):
            task(tiny_bert)


@pytest.mark.parametrize(
    ("task", "name", "message"),
    [
        (Embedder, "BAAI/bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3 scores pairs of texts.* Use Reranker"),
        (
            Reranker,
            "all-MiniLM-L6-v2",
            "sentence-transformers/all-MiniLM-L6-v2 gives vectors, not scores. Use Embedder",
        ),
        (Classifier, "all-mpnet-base-v2", "Use Embedder"),
    ],
)
def test_a_model_of_the_catalog_for_another_task_is_refused_before_it_is_looked_for(task, name, message, monkeypatch):
    monkeypatch.setattr("pellucid.encoder.encoder.resolve", None)  # Calling it would be a TypeError.
    with pytest.raises(UnsupportedModelError, match=message):
        task(name)


def test_a_folder_may_have_the_name_of_any_model(folder, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, source in (("BAAI/bge-reranker-v2-m3", tiny_bert), ("all-MiniLM-L6-v2", folder)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copytree(source, tmp_path / name)
    assert Embedder("BAAI/bge-reranker-v2-m3").dimensions == Embedder(tiny_bert).dimensions
    assert Reranker("all-MiniLM-L6-v2").files.source == "folder"


def test_a_model_that_gives_scores_is_no_embedder(folder, tmp_path):
    saved = tiny.write_scoring_model(tmp_path / "m")
    entry = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
    tiny.write_json(saved / "modules.json", [entry])
    task = {"transformer_task": "sequence-classification", "module_output_name": "scores"}
    tiny.write_json(saved / "sentence_bert_config.json", task)
    with pytest.raises(UnsupportedModelError, match="gives scores, not vectors. Use Reranker or Classifier"):
        Embedder(saved)
    scores = Reranker(saved, on_truncation="cut").score_pairs(tiny.PAIRS)
    assert scores.tobytes() == Reranker(folder, on_truncation="cut").score_pairs(tiny.PAIRS).tobytes()


def test_vectors_of_a_model_for_scores_come_with_a_warning(folder):
    with pytest.warns(
        ModelKindWarning, match=r"was trained to give scores or labels.*Use Reranker or Classifier"
    ) as seen:
        Embedder(folder)
    assert seen[0].filename == __file__


def test_an_embedding_model_whose_config_names_a_head_still_gives_vectors(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    expected = Embedder(folder).embed_query("the cat")
    tiny.edit_json(folder / "config.json", architectures=["BertForSequenceClassification"])
    assert Embedder(folder).embed_query("the cat").tobytes() == expected.tobytes()
    with pytest.raises(UnsupportedModelError, match="gives vectors, as its modules.json says. Use Embedder"):
        Reranker(folder)


def test_a_broken_head_does_not_keep_a_model_from_giving_vectors(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    (folder / "modules.json").unlink()
    expected = Embedder(folder).embed_query("the cat")
    tiny.edit_json(folder / "config.json", architectures=["BertForSequenceClassification"], id2label={"0": None})
    assert Embedder(folder).embed_query("the cat").tobytes() == expected.tobytes()
    with pytest.raises(UnsupportedModelError, match="id2label has no text for the label 0"):
        Reranker(folder)


def test_missing_weights_of_a_head_are_named(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    (folder / "modules.json").unlink()
    tiny.edit_json(folder / "config.json", architectures=["BertForSequenceClassification"])
    with pytest.raises(InvalidModelError, match=r"no tensor 'bert\.pooler\.dense\.weight'"):
        Classifier(folder)


def test_too_few_tokens_for_a_pair_are_refused(folder):
    with pytest.raises(OptionError, match="max_tokens=4 leaves no room for two texts besides 3 special tokens"):
        Reranker(folder, max_tokens=4)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("ab", "pairs is of type str; it must be a list of pairs of texts"),
        (["ab"], "pair 0 is not a pair"),
        ([("a", "b"), ("a",)], "pair 1 is not a pair"),
        ([("a", "b"), ("a", "b", "c")], "pair 1 is not a pair"),
        ([("a", "b"), 3], "pair 1 is not a pair"),
        ([("a", None)], "the second text of pair 0 is of type NoneType"),
        ([(1, "a")], "the first text of pair 0 is of type int"),
        ([np.array("ab")], "pair 0 is not a pair"),
        (np.array([[1, 2]]), "the first text of pair 0 is of type int"),
    ],
)
def test_what_is_no_pair_is_named(pairs, message):
    with pytest.raises(TextTypeError, match=message):
        check_pairs(pairs)


@pytest.mark.parametrize("dtype", ["str", "object"])
def test_the_rows_of_two_columns_are_pairs(dtype):
    assert check_pairs(np.array([["a", "b"], ["c", "d"]], dtype)) == [("a", "b"), ("c", "d")]


def test_half_a_character_is_named():
    with pytest.raises(TextError, match="the second text of pair 1 has a lone surrogate"):
        check_pairs([("a", "b"), ["a", "\ud800"]])


def test_texts_that_are_tokenized_already_give_the_same_bits(folder, reranker):
    tokens, counts = reranker.tokenize(tiny.PAIRS)
    assert counts.max() > reranker.max_tokens
    scores = reranker.scores_of(reranker.logits_of_tokens(tokens))
    assert scores.tobytes() == reranker.score_pairs(tiny.PAIRS).tobytes()
    classifier = Classifier(folder, on_truncation="cut")
    logits = classifier.logits_of_tokens(classifier.tokenize(["the cat", "a dog"], "a ")[0])
    assert logits.tobytes() == classifier.logits(["the cat", "a dog"], prompt="a ").tobytes()
    with pytest.raises(InputError, match="the model reads at most"):
        reranker.logits_of_tokens(TokenBatch.from_sequences([[1] * 1000]))


def test_progress_counts_pairs(reranker):
    seen = []
    reranker.rank("the cat", ["a dog", "the cat"], advance=seen.append)
    assert sum(seen) == 2
