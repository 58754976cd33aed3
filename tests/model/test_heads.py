from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.dense import Dense
from pellucid.layers.norms import LayerNorm
from pellucid.layers.pooling import Pooling
from pellucid.model.config import Config
from pellucid.model.heads import read_head
from pellucid.model.load import load_head, load_spec
from pellucid.model.spec import HeadSpec, NormSpec
from pellucid.sources import local
from tests import tiny

# The keys that a head is read from, in config.json of cross-encoder/ms-marco-MiniLM-L6-v2.
MS_MARCO = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {"0": "LABEL_0"},
    "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
}
SPEC = HeadSpec(("LABEL_0",), Pooling(("cls",)), hidden_activation="tanh", activation="identity")


def head(base=None, settings=None, /, **changes) -> HeadSpec | None:
    config = (base or MS_MARCO) | changes
    return read_head(Config("m: config.json", config), Config("m: settings.json", settings or {}))


def test_the_config_of_ms_marco_minilm_is_this_head():
    assert head() == SPEC


@pytest.mark.parametrize("architectures", [None, [], "BertForSequenceClassification", ["BertModel"], [3]])
def test_other_models_have_no_head(architectures):
    assert head(architectures=architectures) is None


@pytest.mark.parametrize(
    ("changes", "settings", "activation"),
    [
        ({"sentence_transformers": {}}, {}, "sigmoid"),
        ({"sentence_transformers": {}, "id2label": {"0": "a", "1": "b"}}, {}, "identity"),
        ({}, {"activation_fn": "torch.nn.modules.activation.Sigmoid"}, "sigmoid"),
        (
            {"sentence_transformers": {}, "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
            {},
            "identity",
        ),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Identity"}}, {}, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}, {}, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": "a.module.Function"}}, {}, "a.module.Function"),
    ],
)
def test_the_activation_is_the_newest_that_the_files_name(changes, settings, activation):
    assert head(None, settings, **changes).activation == activation


@pytest.mark.parametrize(
    ("model_type", "changes", "expected"),
    [
        ("electra", {}, {"hidden_activation": "gelu"}),
        ("deberta-v2", {"pooler_hidden_act": "relu"}, {"hidden_activation": "relu"}),
        ("distilbert", {}, {"hidden_activation": "relu"}),
        ("xlm-roberta", {}, {"hidden_activation": "tanh"}),
        (
            "modernbert",
            {"classifier_pooling": "mean", "classifier_activation": "gelu"},
            {
                "hidden_activation": "gelu",
                "pooling": Pooling(("mean",)),
                "bias": False,
                "norm": NormSpec(1e-5, bias=False),
            },
        ),
        ("bert", {"problem_type": "multi_label_classification"}, {"multi_label": True}),
    ],
)
def test_each_family_has_its_own_head(model_type, changes, expected):
    assert head(model_type=model_type, **changes) == replace(SPEC, **expected)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"id2label": {"0": "no", "1": "yes"}}, ("no", "yes")),
        ({"id2label": {"1": "yes", "0": "no"}}, ("no", "yes")),
        ({"id2label": {"0": 1, "1": 2, "2": 3}}, ("1", "2", "3")),
        ({"id2label": None}, ("LABEL_0", "LABEL_1")),
        ({"id2label": {}, "num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 1}, ("LABEL_0",)),
    ],
)
def test_labels_are_in_the_order_of_their_numbers(changes, labels):
    assert head(**changes).labels == labels


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"num_labels": 10**9}, InvalidModelError, "1,000,000,000 labels, and the limit is 100,000"),
        ({"id2label": {"0": "a", "2": "b"}}, InvalidModelError, "id2label has no text for the label 1"),
        ({"id2label": {"0": True}}, InvalidModelError, "id2label has no text for the label 0"),
        ({"id2label": {"0": ["a"]}}, InvalidModelError, "id2label has no text for the label 0"),
        ({"model_type": "modernbert", "classifier_pooling": "max"}, UnsupportedModelError, "classifier_pooling 'max'"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused_with_a_reason(changes, kind, message):
    with pytest.raises(kind, match=message):
        head(**changes)


@pytest.mark.parametrize("labels", [1, 3])
def test_the_weights_become_modules(family, tmp_path, labels):
    files = local.find(str(tiny.write_scoring_model(tmp_path / "m", family, labels)))
    spec = load_spec(files)
    modules = load_head(files, spec)
    kinds = [Dense, LayerNorm, Dense] if family == "modernbert" else [Dense, Dense]
    assert [type(module) for module in modules] == kinds
    hidden = np.random.default_rng(0).normal(size=(5, spec.encoder.hidden_size)).astype(np.float32)
    for module in modules:
        hidden = module(hidden)
    assert hidden.shape == (5, labels)


def test_missing_weights_are_named(tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors")
    files = local.find(str(folder))
    with pytest.raises(InvalidModelError, match=r"no tensor 'classifier\.weight'"):
        load_head(files, load_spec(files))
