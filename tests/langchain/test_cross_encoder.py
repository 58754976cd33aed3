from __future__ import annotations

import copy
import pickle
import sys

import pytest
from langchain_core.cross_encoders import BaseCrossEncoder

from pellucid import Classifier, Reranker
from pellucid.errors import MissingExtraError, OptionError, TextTypeError
from pellucid.langchain import HuggingFaceCrossEncoder
from tests import tiny
from tests.causal_rerankers import write_reranker

PAIRS = [("the cat", "a dog sat"), ("the mat", ""), ("the cat", "the cat")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m"))


def test_scores_are_a_list_of_floats(folder):
    model = HuggingFaceCrossEncoder(model_name=folder)
    assert isinstance(model, BaseCrossEncoder)
    scores = model.score(PAIRS)
    assert scores == Reranker(folder).score_pairs(PAIRS).tolist()
    assert {type(score) for score in scores} == {float}
    assert model.score(iter(PAIRS)) == scores
    assert model.score([]) == []


@pytest.mark.parametrize("labels", [2, 3])
def test_of_several_labels_the_second_is_the_score(tmp_path, labels):
    folder = str(tiny.write_scoring_model(tmp_path / "m", labels=labels))
    expected = Classifier(folder).logits(PAIRS)[:, 1].tolist()
    assert HuggingFaceCrossEncoder(model_name=folder).score(PAIRS) == expected


def test_options_reach_the_model(folder):
    model = HuggingFaceCrossEncoder(model_name=folder, model_kwargs={"activation_fn": "identity", "dtype": "int8"})
    expected = Reranker(folder, activation="identity", dtype="int8").score_pairs(PAIRS).tolist()
    assert model.score(PAIRS) == expected


@pytest.mark.parametrize(
    ("model_kwargs", "error", "message"),
    [
        ({"devise": "cpu"}, TypeError, "has no option 'devise'. Did you mean device"),
        ({"backend": "onnx"}, OptionError, "backend='onnx' is not supported"),
    ],
)
def test_an_unsupported_key_is_named(folder, model_kwargs, error, message):
    with pytest.raises(error, match=message):
        HuggingFaceCrossEncoder(model_name=folder, model_kwargs=model_kwargs)


def test_an_unknown_field_is_an_error(folder):
    with pytest.raises(ValueError, match="top_n"):
        HuggingFaceCrossEncoder(model_name=folder, top_n=3)


@pytest.mark.parametrize("pairs", ["ab", ["a", "b"], [("a",)], [("a", None)], None])
def test_what_is_no_pair_is_refused(folder, pairs):
    with pytest.raises(TextTypeError):
        HuggingFaceCrossEncoder(model_name=folder).score(pairs)


def test_copies_give_the_same_scores(folder):
    model = HuggingFaceCrossEncoder(model_name=folder)
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own
        assert made.score(PAIRS) == model.score(PAIRS)


def test_an_older_langchain_core_has_only_the_embeddings(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_core.cross_encoders", None)
    monkeypatch.delitem(sys.modules, "pellucid.langchain.cross_encoder")
    import pellucid.langchain

    assert pellucid.langchain.HuggingFaceEmbeddings
    with pytest.raises(MissingExtraError, match=r"langchain-core>=1\.3"):
        pellucid.langchain.HuggingFaceCrossEncoder  # noqa: B018


def test_a_decoder_scores_too(tmp_path):
    folder = str(write_reranker(tmp_path / "m", "answers"))
    assert HuggingFaceCrossEncoder(model_name=folder).score(PAIRS) == Reranker(folder).score_pairs(PAIRS).tolist()
