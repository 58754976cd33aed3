"""Compares the drop-in class with sentence-transformers' CrossEncoder, option by option."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Theirs

from pellucid.langchain import HuggingFaceCrossEncoder
from pellucid.sentence_transformers import CrossEncoder as Ours
from tests import tiny
from tests.reference.conftest import assert_same

PAIRS = [*tiny.PAIRS[:6], *tiny.PAIRS[-3:]]
"""Short, empty, far too long, and in other scripts. ``test_scoring.py`` compares all of them."""
OWN_OPTIONS = {"dtype", "engine", "threads", "on_truncation"}


def double(scores):
    return scores * 2


@pytest.fixture(scope="module", params=[1, 2, 3])
def folder(request, tmp_path_factory):
    return tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m", labels=request.param)


def both(folder, **options):
    theirs = Theirs(str(folder), device="cpu", local_files_only=True, **options)
    return Ours(folder, on_truncation="cut", **options), theirs


@pytest.fixture(scope="module")
def pair(folder):
    return both(folder)


@pytest.mark.parametrize("name", ["__init__", "predict", "rank"])
def test_the_arguments_and_their_defaults_are_the_same(name):
    ours, theirs = (inspect.signature(getattr(each, name)).parameters for each in (Ours, Theirs))
    expected = {key: (each.default, each.kind) for key, each in theirs.items() if each.kind is not each.VAR_KEYWORD}
    extra = OWN_OPTIONS if name == "__init__" else {"processing_kwargs"}
    assert {key: (each.default, each.kind) for key, each in ours.items() if key not in extra} == expected
    if name != "__init__":
        assert [key for key in ours if key not in extra] == list(expected)


@pytest.mark.parametrize(
    "inputs",
    [
        PAIRS,
        [list(each) for each in PAIRS],
        tuple(PAIRS),
        np.array(PAIRS),
        np.array(PAIRS, dtype=object),
        PAIRS[0],
        list(PAIRS[0]),
        np.array(PAIRS[0]),
        [PAIRS[0]],
        "the cat",
        [],
        (),
        np.array([], dtype=object),
    ],
    ids=range(13),
)
def test_predict_takes_the_same_inputs(pair, inputs):
    ours, theirs = pair
    assert_same(ours.predict(inputs), theirs.predict(inputs, batch_size=1))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"convert_to_numpy": False},
        {"convert_to_tensor": True},
        {"convert_to_tensor": True, "convert_to_numpy": False},
        {"apply_softmax": True},
        {"prompt": "the cat "},
        {"activation_fn": torch.nn.Identity()},
        {"activation_fn": torch.nn.Sigmoid(), "apply_softmax": True},
        {"activation_fn": torch.nn.GELU(approximate="tanh")},
        {"activation_fn": torch.tanh},
        {"activation_fn": double},
        {"activation_fct": torch.nn.Tanh(), "num_workers": 0},
        {"batch_size": 7, "show_progress_bar": False, "device": "cpu", "chunk_size": 3},
    ],
    ids=str,
)
def test_predict_takes_the_same_options(pair, options):
    ours, theirs = pair
    for inputs in (PAIRS, PAIRS[0], []):
        assert_same(ours.predict(inputs, **options), theirs.predict(inputs, **{"batch_size": 1, **options}))


def test_the_older_name_of_the_inputs(pair):
    ours, theirs = pair
    assert_same(ours.predict(sentences=PAIRS), theirs.predict(sentences=PAIRS, batch_size=1))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": 2},
        {"top_k": 0},
        {"top_k": 99, "return_documents": True},
        {"prompt": "the "},
        {"activation_fn": torch.nn.Identity(), "apply_softmax": True, "convert_to_tensor": True},
    ],
)
@pytest.mark.parametrize("documents", [["a dog sat", "the cat sat", "", "the mat", "a dog sat"], ("a",), []])
def test_rank(pair, options, documents):
    ours, theirs = pair
    if theirs.num_labels != 1:
        for model in pair:
            with pytest.raises(ValueError, match="label"):
                model.rank("the cat", documents)
        return
    found, expected = (model.rank("the cat", documents, batch_size=1, **options) for model in (ours, theirs))
    assert [list(each) for each in found] == [list(each) for each in expected]
    assert [each["corpus_id"] for each in found] == [each["corpus_id"] for each in expected]
    assert [each.get("text") for each in found] == [each.get("text") for each in expected]
    scores = [each["score"] for each in found]
    np.testing.assert_allclose(scores, [each["score"] for each in expected], rtol=0, atol=5e-6)
    assert {type(score) for score in scores} <= {float}


@pytest.mark.parametrize(
    "options",
    [
        {"max_length": 12},
        {"tokenizer_kwargs": {"model_max_length": 12}},
        {"activation_fn": torch.nn.Tanh()},
        {"default_activation_function": torch.nn.Sigmoid()},
        {"prompts": {"web": "the cat ", "none": None}, "default_prompt_name": "web"},
        {"model_kwargs": {"torch_dtype": torch.float32, "attn_implementation": "eager"}},
        {"config_kwargs": {"classifier_dropout": 0.5}, "backend": "torch", "trust_remote_code": True},
    ],
    ids=str,
)
def test_options_of_the_constructor(folder, options):
    ours, theirs = both(folder, **options)
    assert_same(ours.predict(PAIRS), theirs.predict(PAIRS, batch_size=1))
    assert ours.prompts == theirs.prompts
    assert (ours.default_prompt_name, ours.max_seq_length) == (theirs.default_prompt_name, theirs.max_seq_length)
    assert (ours.num_labels, repr(ours.activation_fn)) == (theirs.num_labels, repr(theirs.activation_fn))
    for name in ("id2label", "label2id", "num_labels", "hidden_size", "model_type", "vocab_size"):
        assert getattr(ours.config, name) == getattr(theirs.config, name)


def test_positional_options_of_earlier_versions(folder):
    ours, theirs = Ours(folder, None, 12, on_truncation="cut"), Theirs(str(folder), None, 12, device="cpu")
    assert_same(ours.predict(PAIRS), theirs.predict(PAIRS, batch_size=1))


def test_what_is_set_later(folder):
    pair = both(folder)
    for model in pair:
        model.max_seq_length = 12
        model.activation_fn = torch.nn.Tanh()
    ours, theirs = pair
    assert_same(ours.predict(PAIRS), theirs.predict(PAIRS, batch_size=1))


@pytest.mark.parametrize("name", ["max_length", "default_activation_function"])
@pytest.mark.filterwarnings("error")
def test_the_same_attributes_are_deprecated(pair, name):
    for model in pair:
        with pytest.raises(DeprecationWarning, match=name):
            getattr(model, name)


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"prompt_name": "x"}, {"inputs": [("a", "b", "c")]}, {"inputs": [["a"]]}], ids=str
)
def test_the_same_calls_are_errors(pair, options):
    for model in pair:
        with pytest.raises(ValueError, match=r"\w"):
            model.predict(**{"inputs": PAIRS, **options})


@pytest.mark.parametrize(
    "options", [{"foo": 1}, {"default_prompt_name": "x"}, {"num_labels": 5}, {"model_kwargs": {"foo": 1}}], ids=str
)
def test_the_same_options_are_errors(folder, options):
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        Theirs(str(folder), device="cpu", **options)
    with pytest.raises((TypeError, ValueError)):
        Ours(folder, **options)


class Community:
    """What langchain-community's HuggingFaceCrossEncoder does, which is not installed here: it calls ``predict``."""

    def __init__(self, model_name, model_kwargs):
        self.client = Theirs(model_name, **model_kwargs)

    def score(self, text_pairs):
        scores = self.client.predict(text_pairs)
        return [row[1] for row in scores] if scores.ndim > 1 else scores


@pytest.mark.parametrize("model_kwargs", [{"device": "cpu"}, {"device": "cpu", "max_length": 12}], ids=str)
def test_langchains_cross_encoder(folder, model_kwargs):
    ours = HuggingFaceCrossEncoder(model_name=str(folder), model_kwargs={**model_kwargs, "on_truncation": "cut"})
    expected = Community(str(folder), model_kwargs).score(PAIRS)
    np.testing.assert_allclose(ours.score(PAIRS), np.array(expected), rtol=0, atol=5e-6)
