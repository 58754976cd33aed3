"""The drop-in for CrossEncoder. ``tests/reference/test_cross_encoder.py`` compares it with the class itself."""

from __future__ import annotations

import copy
import json
import pickle
import sys

import numpy as np
import pytest

from pellucid import Classifier, Reranker, TruncationWarning
from pellucid.errors import (
    InputError,
    MissingExtraError,
    ModelNotFoundError,
    OptionError,
    TextTypeError,
    TruncationError,
)
from pellucid.layers.activations import sigmoid
from pellucid.sentence_transformers import CrossEncoder
from tests import tiny

PAIRS = [("the cat", "a dog sat"), ("the mat", ""), ("the cat", "the cat")]
DOCUMENTS = ["a dog sat", "the cat", "a dog sat", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m", labels=3)


@pytest.fixture(scope="module")
def model(folder) -> CrossEncoder:
    return CrossEncoder(folder)


@pytest.fixture(scope="module")
def scores(folder):
    return Reranker(folder).score_pairs(PAIRS)


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (PAIRS, (3,)),
        ([list(pair) for pair in PAIRS], (3,)),
        (tuple(PAIRS), (3,)),
        (np.array(PAIRS), (3,)),
        (np.array(PAIRS, dtype=object), (3,)),
        (PAIRS[0], ()),
        (list(PAIRS[0]), ()),
        (np.array(PAIRS[0]), ()),
    ],
)
def test_one_label_gives_one_number_for_each_pair(model, scores, inputs, shape):
    ours = model.predict(inputs)
    assert (ours.dtype, ours.shape) == (np.float32, shape)
    assert ours.tobytes() == (scores if shape else scores[0]).tobytes()


def test_several_labels_give_a_row_for_each_pair(three):
    model, logits = CrossEncoder(three), Classifier(three).logits(PAIRS)
    assert model.predict(PAIRS).tobytes() == logits.tobytes()
    assert model.predict(PAIRS[0]).tobytes() == logits[0].tobytes()
    probabilities = Classifier(three).probabilities(PAIRS)
    assert model.predict(PAIRS, apply_softmax=True).tobytes() == probabilities.tobytes()
    with pytest.raises(InputError, match="needs a model with one label, and this one has 3. Use predict"):
        model.rank("the cat", DOCUMENTS)


def test_no_pairs_give_an_empty_array(model):
    assert model.predict([]).shape == (0,)
    assert model.rank("the cat", []) == []


def test_a_model_of_single_texts_takes_a_text(three):
    assert CrossEncoder(three).predict("the cat").tobytes() == Classifier(three).logits(["the cat"])[0].tobytes()


def test_the_best_documents_come_first_and_equal_ones_in_order(model, folder):
    expected = Reranker(folder).rank("the cat", DOCUMENTS)
    assert model.rank("the cat", DOCUMENTS) == [{"corpus_id": each.index, "score": each.score} for each in expected]
    best = model.rank("the cat", iter(DOCUMENTS), top_k=2, return_documents=True)
    assert best == [
        {"corpus_id": each.index, "score": each.score, "text": DOCUMENTS[each.index]} for each in expected[:2]
    ]
    assert model.rank("the cat", DOCUMENTS, top_k=0) == []
    assert {type(each["score"]) for each in best} == {float}


def test_an_activation_is_for_a_call_or_for_good(folder, scores):
    model = CrossEncoder(folder, activation_fn="identity")
    logits = model.predict(PAIRS)
    np.testing.assert_allclose(sigmoid(logits), scores, rtol=1e-6)
    assert model.predict(PAIRS, activation_fn="sigmoid").tobytes() == scores.tobytes()
    assert model.predict(PAIRS).tobytes() == logits.tobytes()
    model.activation_fn = "sigmoid"
    assert model.predict(PAIRS).tobytes() == scores.tobytes()
    assert model.predict(PAIRS, activation_fn=model.activation_fn).tobytes() == scores.tobytes()
    assert repr(model.activation_fn) == "Sigmoid()"


def test_prompts(folder, model):
    prompted = CrossEncoder(folder, prompts={"web": "the "}, default_prompt_name="web")
    expected = model.predict([(f"the {a}", b) for a, b in PAIRS]).tobytes()
    assert prompted.predict(PAIRS).tobytes() == expected
    assert prompted.predict(PAIRS, prompt="").tobytes() == model.predict(PAIRS).tobytes()
    assert model.predict(PAIRS, prompt="the ").tobytes() == expected
    assert model.rank("cat", DOCUMENTS, prompt="the ") == model.rank("the cat", DOCUMENTS)
    assert prompted.prompts == {"web": "the "}
    with pytest.raises(OptionError, match="has no prompt 'x'. Its prompts: 'web'"):
        prompted.predict(PAIRS, prompt_name="x")
    with pytest.raises(OptionError, match="has no prompt 'x'. Its prompts: none"):
        CrossEncoder(folder, default_prompt_name="x")


def test_the_limit_may_be_lowered_and_raised_again(folder):
    pair = ("the cat " * 9, "a dog " * 9)
    model = CrossEncoder(folder, max_length=12, on_truncation="cut")
    short = model.predict(pair)
    assert (model.max_seq_length, short) == (
        12,
        Reranker(folder, max_tokens=12, on_truncation="cut").score(*[pair[0], [pair[1]]])[0],
    )
    model.max_seq_length = None
    assert model.max_seq_length == tiny.MAX_TOKENS
    assert model.predict(pair) == CrossEncoder(folder, on_truncation="cut").predict(pair) != short
    model.max_seq_length = 12
    assert model.predict(pair) == short
    with pytest.warns(DeprecationWarning, match="max_length is the older name of max_seq_length"):
        assert model.max_length == 12
    with pytest.raises(OptionError, match="max_tokens=5000"):
        CrossEncoder(folder, max_length=5000)


def test_pairs_that_are_too_long_are_told(folder):
    pair = ("the cat " * 90, "a dog")
    with pytest.warns(TruncationWarning):
        CrossEncoder(folder).predict(pair)
    with pytest.raises(TruncationError):
        CrossEncoder(folder, on_truncation="error").predict(pair)


@pytest.mark.parametrize(
    ("arguments", "options", "read", "value"),
    [
        ((1, 20), {}, "max_seq_length", 20),
        ((1, 20, "tanh", "cpu"), {}, "activation_fn.name", "tanh"),
        ((), {"default_activation_function": "tanh"}, "activation_fn.name", "tanh"),
        ((), {"tokenizer_args": {"model_max_length": 20}}, "max_seq_length", 20),
        ((), {"processor_kwargs": {"model_max_length": 20}, "max_length": 18}, "max_seq_length", 18),
        ((), {"automodel_args": {"torch_dtype": "auto"}}, "classifier.engine.dtype", "float32"),
        ((), {"dtype": "int8", "threads": 1}, "classifier.engine.dtype", "int8"),
        ((), {"config_kwargs": {"num_labels": 1, "classifier_dropout": 0.1}}, "num_labels", 1),
        ((), {"trust_remote_code": True, "backend": "torch", "classifier_dropout": 0.1}, "device", "cpu"),
        ((), {"model_kwargs": {"attn_implementation": "sdpa"}, "keep_in_fp32_modules": []}, "num_labels", 1),
    ],
)
def test_options_of_every_version_are_honoured(folder, arguments, options, read, value):
    found = CrossEncoder(folder, *arguments, **options)
    for name in read.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "onnx"}, "backend='onnx' is not supported, only 'torch'. Use engine="),
        ({"num_labels": 3}, "num_labels=3, but .* has 1. Leave it out"),
        ({"model_kwargs": {"device_map": "auto"}}, "'device_map' is not supported"),
        ({"processor_kwargs": {"padding_side": "left"}}, "'padding_side' is not supported"),
        ({"config_kwargs": {"vocab_size": 5}}, "'vocab_size' is not supported"),
        ({"keep_in_fp32_modules": ["0"]}, "keep_in_fp32_modules"),
        ({"modules": [1]}, "Name a model that has been saved"),
        ({"device": "cuda", "engine": "native"}, "device='cuda'"),
        ({"activation_fn": "softmax"}, "activation_fn='softmax'"),
        ({"prompts": ["a"]}, "prompts must be a dict"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused(folder, options, message):
    with pytest.raises(OptionError, match=message):
        CrossEncoder(folder, **options)


def test_the_name_of_a_model_is_needed():
    with pytest.raises(OptionError, match="model_name_or_path is missing"):
        CrossEncoder()


def test_a_name_without_an_organisation_is_one_of_cross_encoder(tmp_path):
    with pytest.raises(ModelNotFoundError, match="cross-encoder/no-such-model is not on this machine"):
        CrossEncoder("no-such-model", local_files_only=True, cache_folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"device": "cuda"}, "device='cuda' is not supported, only 'cpu'"),
        ({"device": ["cpu", "cuda"]}, "device='cuda' is not supported, only 'cpu'. Pass device="),
        ({"pool": {"processes": [1]}}, "pool is not one that start_multi_process_pool returned"),
        ({"processing_kwargs": {"text": {}}}, "processing_kwargs: 'text' is not supported"),
        ({"prompt": 3}, "prompt is of type int"),
    ],
)
def test_options_of_a_call_that_cannot_be_honoured_are_refused(model, options, message):
    with pytest.raises(OptionError, match=message):
        model.predict(PAIRS, **options)


@pytest.mark.parametrize("inputs", [[["a"]], [("a", "b", "c")], [{"a": "b"}], {"a": "b"}, 3, None, [("a", None)]])
def test_what_is_no_pair_is_refused(model, inputs):
    with pytest.raises(TextTypeError):
        model.predict(inputs)


@pytest.mark.parametrize("options", [{"convert_to_tensor": True}, {"convert_to_numpy": False}])
def test_tensors_need_pytorch(model, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=f"{next(iter(options))}.* needs the package 'torch'"):
        model.predict(PAIRS, **options)


def test_a_pool_costs_nothing(model, scores):
    pool = model.start_multi_process_pool()
    assert model.predict(PAIRS, pool=pool, device=["cpu", "cpu"], chunk_size=1).tobytes() == scores.tobytes()
    model.stop_multi_process_pool(pool)


def test_the_config_has_what_the_file_says(three):
    config = CrossEncoder(three).config
    assert config.id2label == {0: "label 0", 1: "label 1", 2: "label 2"}
    assert config.label2id == {"label 0": 0, "label 1": 1, "label 2": 2}
    assert config.num_labels == 3
    assert config.hidden_size == json.loads((three / "config.json").read_text())["hidden_size"]


@pytest.mark.parametrize("name", ["fit", "save_pretrained", "push_to_hub", "cuda", "model"])
def test_what_a_cross_encoder_cannot_do_here_says_what_to_do(model, name):
    with pytest.raises(AttributeError, match=rf"^CrossEncoder has no attribute '{name}'\. \w.+\.$"):
        getattr(model, name)


def test_to_its_own_device_changes_nothing(model):
    assert model.eval().to("cpu") is model
    with pytest.raises(OptionError, match="device='cuda'"):
        model.to("cuda")


def test_copies_give_the_same_scores_and_keep_no_token(folder, scores):
    model = CrossEncoder(folder, activation_fn="sigmoid", token="hf_secret", threads=1)
    assert b"hf_secret" not in pickle.dumps(model)
    for made in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own
        assert made.predict(PAIRS).tobytes() == scores.tobytes()


def test_the_repr_names_the_model(model, folder):
    assert repr(CrossEncoder(folder)).startswith("CrossEncoder(")
    assert repr(model).endswith(", num_labels=1)")
