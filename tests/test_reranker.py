from __future__ import annotations

import numpy as np
import pytest

from pellucid import Reranker
from pellucid.errors import OptionError, TextTypeError, UnsupportedModelError
from tests import tiny

QUERY, DOCUMENTS = "the cat", ["a dog sat", "the cat sat", "", "the mat", "a dog sat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture(scope="module")
def reranker(folder) -> Reranker:
    return Reranker(folder, on_truncation="cut")


def test_scores_are_those_of_the_pairs(reranker):
    scores = reranker.score(QUERY, DOCUMENTS)
    assert (scores.dtype, scores.shape) == (np.float32, (5,))
    assert scores.tobytes() == reranker.score_pairs([(QUERY, document) for document in DOCUMENTS]).tobytes()
    assert len(set(scores.tolist())) == 4


def test_the_best_come_first_and_equal_ones_in_order(reranker):
    ranked = reranker.rank(QUERY, DOCUMENTS)
    scores = reranker.score(QUERY, DOCUMENTS)
    assert [each.score for each in ranked] == sorted(scores.tolist(), reverse=True)
    assert [each.score for each in ranked] == [scores[each.index] for each in ranked]
    order = [each.index for each in ranked]
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert order.index(4) == order.index(0) + 1
    assert reranker.rank(QUERY, DOCUMENTS, 2) == ranked[:2]
    assert reranker.rank(QUERY, DOCUMENTS, 99) == ranked


def test_no_documents_have_no_scores(reranker):
    assert reranker.score(QUERY, []).shape == reranker.score_pairs([]).shape == (0,)
    assert reranker.rank(QUERY, []) == []


@pytest.mark.parametrize(
    ("settings", "activation"),
    [
        ({}, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh"}, "tanh"),
    ],
)
def test_the_files_choose_the_activation_and_the_caller_may_choose_another(tmp_path, settings, activation):
    folder = tiny.write_scoring_model(tmp_path / "m", **settings)
    assert Reranker(folder).activation == activation
    logits = Reranker(folder, activation="identity").score(QUERY, DOCUMENTS)
    sigmoid = Reranker(folder, activation="sigmoid").score(QUERY, DOCUMENTS)
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    expected = {"sigmoid": sigmoid, "identity": logits, "tanh": np.tanh(logits)}[activation]
    assert Reranker(folder).score(QUERY, DOCUMENTS).tobytes() == expected.tobytes()


def test_an_activation_that_is_code_of_the_model_is_refused(tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "m", sentence_transformers={"activation_fn": "my.module.Function"})
    with pytest.raises(UnsupportedModelError, match=r"'my\.module\.Function' is not supported, .* Choose another"):
        Reranker(folder)
    assert Reranker(folder, activation="tanh").activation == "tanh"


def test_a_prompt_goes_before_the_query(tmp_path, reranker):
    folder = tiny.write_scoring_model(tmp_path / "m")
    tiny.write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": TRANSFORMER}])
    prompts = {"prompts": {"web": "query: "}, "default_prompt_name": "web"}
    tiny.write_json(folder / "config_sentence_transformers.json", prompts)
    task = Reranker(folder, on_truncation="cut")
    expected = reranker.score(f"query: {QUERY}", DOCUMENTS).tobytes()
    assert task.score(QUERY, DOCUMENTS).tobytes() == expected
    assert task.score(QUERY, DOCUMENTS, prompt="").tobytes() == reranker.score(QUERY, DOCUMENTS).tobytes()
    assert reranker.score(QUERY, DOCUMENTS, prompt="query: ").tobytes() == expected
    assert task.score_pairs([(QUERY, "a")], prompt_name="web") == reranker.score(f"query: {QUERY}", ["a"])


TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"


def test_a_query_is_tokenized_once(reranker, monkeypatch):
    seen = []
    tokenize_plain = reranker.tokenizer.tokenize_plain

    def note(texts, **options):
        seen.extend(texts)
        return tokenize_plain(texts, **options)

    monkeypatch.setattr(reranker.tokenizer, "tokenize_plain", note)
    reranker.score(QUERY, DOCUMENTS)
    assert sorted(seen) == sorted({QUERY, *DOCUMENTS})


def test_several_labels_give_no_score(tmp_path):
    with pytest.raises(UnsupportedModelError, match="has 3 labels, so it gives no single score. Use Classifier"):
        Reranker(tiny.write_scoring_model(tmp_path / "m", labels=3))


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_top_k_is_a_whole_number(reranker, value):
    with pytest.raises(OptionError, match="top_k"):
        reranker.rank(QUERY, DOCUMENTS, value)


def test_an_unknown_activation_names_those_there_are(folder):
    with pytest.raises(OptionError, match="identity"):
        Reranker(folder, activation="softmax")


def test_wrong_types_are_named(reranker):
    with pytest.raises(TextTypeError, match="the query is of type NoneType"):
        reranker.score(None, DOCUMENTS)
    with pytest.raises(TextTypeError, match="text 1 is of type int"):
        reranker.score(QUERY, ["a", 2])


def test_names_of_other_libraries_are_answered(reranker):
    with pytest.raises(AttributeError, match=r"Use score_pairs\(pairs\)"):
        reranker.predict([])
